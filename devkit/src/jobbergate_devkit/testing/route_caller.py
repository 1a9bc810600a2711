"""A caller of a plugin's routes for its conformance tests, which collects complaints."""

import json as jsonlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import marshmallow as ma
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from jobbergate_server import MOUNT, Route
from jobbergate_server.openapi import DOCUMENT
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.storable import INT4_MAX

if TYPE_CHECKING:
    from jobbergate_devkit.testing.served import Served

ABSENT = (INT4_MAX, INT4_MAX + 1, 0)
"""Ids that no row has."""
DOCUMENT_URI = "urn:jobbergate:openapi"
TURNS = {"POST": 0, "GET": 2, "PUT": 3, "PATCH": 3, "DELETE": 5}
CONTENT_TYPE = "application/json"
USUAL = "usual"
"""The placeholder of the caller's token; None means no token."""


class Operation(NamedTuple):
    """A route, its part of the API document, and a valid body."""

    route: Route
    path: str
    documented: Mapping[str, Any]
    sample: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.route.method} {self.path}"

    @property
    def has_parameters(self) -> bool:
        """Whether the path has parameters."""
        return "{" in self.path

    @property
    def body_schema(self) -> ma.Schema | None:
        """The schema of the JSON body of the route."""
        return self.route.request_schemas.get("json")

    @property
    def takes_form(self) -> bool:
        """Whether the route takes a form."""
        return "form" in self.route.request_schemas

    def turn(self) -> int:
        """Return the position in the order of calls: rows are added first, and deleted last."""
        return TURNS[self.route.method] + (self.has_parameters is not (self.route.method == "DELETE"))


class Answer(NamedTuple):
    """A response of an operation."""

    operation: Operation
    status: int
    json: Any


class RouteCaller:
    """A caller of all routes of one plugin as the owner of its samples; ``complaints`` are the errors found."""

    def __init__(self, served: "Served", contribution: Contribution, email: str) -> None:
        self.served = served
        self.contribution = contribution
        self.complaints: list[str] = []
        self.known: object = 1
        self._client = served.client()
        self._token = served.token(email=email)
        self._document = jsonlib.loads(served.app[DOCUMENT])
        resource = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT_URI, resource)
        self.operations = [self._operation(contribution.plugin.slug, route) for route in contribution.routes]

    async def send(  # noqa: PLR0913 - the parts of a request
        self,
        operation: Operation,
        *,
        token: str | None = USUAL,
        parameter: object = 1,
        query: Mapping[str, object] | None = None,
        json: object = None,
        data: str | bytes | None = None,
    ) -> Answer:
        """Send a request to the operation, with ``parameter`` in its path and by default a sample body.

        Complain about a response with a server error, or that does not match the API document.
        """
        token = self._token if token == USUAL else token
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        if operation.body_schema is not None:
            headers["Content-Type"] = CONTENT_TYPE
            if data is None:
                data = jsonlib.dumps(operation.sample if json is None else json)
        path = re.sub(r"\{[^}]*\}", str(parameter), operation.path)
        parameters = {name: str(value) for name, value in (query or {}).items()}
        async with self._client.request(
            operation.route.method, MOUNT + path, params=parameters, data=data, headers=headers
        ) as response:
            body = await response.json() if response.content_type == CONTENT_TYPE else None
            answer = Answer(operation, response.status, body)
        self._check(answer)
        return answer

    def expect(self, answer: Answer, status: int, when: str) -> None:
        """Complain about a response with another status."""
        if answer.status != status:
            self.complain(answer, f"instead of {status} {when}")

    def expect_error(self, answer: Answer, when: str) -> None:
        """Complain about a response that is not a client error."""
        if not 400 <= answer.status < 500:  # noqa: PLR2004 - the range of such errors (RFC 9110, section 15.5)
            self.complain(answer, f"instead of 4xx {when}")

    def expect_known(self, answer: Answer, when: str) -> None:
        """Complain about a status that the API document does not declare for the operation."""
        if str(answer.status) not in answer.operation.documented["responses"]:
            self.complain(answer, f"{when}, which is not documented")

    def complain(self, answer: Answer, complaint: str) -> None:
        """Add a complaint about a response."""
        self.complaints.append(f"{answer.operation}: {answer.status} {complaint}")

    def remember(self, operation: Operation, answer: Answer) -> None:
        """Store the id of an added row for later requests."""
        if operation.route.method == "POST" and isinstance(answer.json, dict):
            self.known = answer.json.get("id", self.known)

    def _check(self, answer: Answer) -> None:
        if answer.status >= 500:  # noqa: PLR2004 - errors of the server (RFC 9110, section 15.6)
            self.complain(answer, "is a server error")
        response = answer.operation.documented["responses"].get(str(answer.status), {})
        pointer = response.get("$ref", "").removeprefix("#/components/responses/")
        response = self._document["components"]["responses"].get(pointer, response)
        schema = response.get("content", {}).get(CONTENT_TYPE, {}).get("schema")
        if schema is None:
            return
        validator = Draft202012Validator(_absolute(schema), registry=self._registry)
        for error in validator.iter_errors(answer.json):
            self.complain(answer, f"is not as documented at {error.json_path}: {error.message}")

    def _operation(self, slug: str, route: Route) -> Operation:
        path = route.location(slug)
        documented = self._document["paths"][re.sub(r"\{([^}:]*)[^}]*\}", r"{\1}", path)][route.method.lower()]
        content = documented.get("requestBody", {}).get("content", {}).get(CONTENT_TYPE)
        sample = None if content is None else content.get("example") or self._sample(content["schema"])
        return Operation(route, path, documented, sample)

    def _sample(self, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """Return a valid value for a schema of the document: its example, or its smallest value."""
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for key in ("examples", "enum"):
            if schema.get(key):
                return schema[key][0]
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            properties = schema.get("properties", {})
            return {
                name: self._sample(properties[name])
                for name in schema.get("required", [])
                if not properties[name].get("readOnly")
            }
        least = {"string": "a" * max(1, schema.get("minLength", 1)), "boolean": True, "array": []}
        return least.get(kind, max(1, schema.get("minimum", 1)))


def _absolute(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the schema with absolute references into the document that contains it."""
    if isinstance(schema, dict):
        return {
            key: DOCUMENT_URI + value if key == "$ref" and isinstance(value, str) else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema
