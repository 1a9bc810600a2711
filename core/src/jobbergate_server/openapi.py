"""The API document: OpenAPI 3.1, made from aiohttp-apispec's decorators and from what the core knows of every route.

aiohttp-apispec itself writes Swagger 2.0. Its decorators leave what they are told on the handler; this module reads it
without changing it, so that any number of applications in one process have the same document.
"""

from collections.abc import Iterable
from copy import deepcopy
from string import Formatter
from typing import Any

import orjson
from aiohttp import web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from marshmallow import Schema

from jobbergate_server.contributions import Contribution
from jobbergate_server.permissions import Access, Permission
from jobbergate_server.routing import MOUNT, Route

OPENAPI_VERSION = "3.1.0"
PARAMETERS = {"match_info": "path", "querystring": "query", "headers": "header"}

DOCUMENT: web.AppKey[bytes] = web.AppKey("document", bytes)


def build_document(contributions: Iterable[Contribution], version: str) -> dict[str, Any]:
    """The document of all routes of ``contributions``."""
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        title="Jobbergate Server",
        version=version,
        openapi_version=OPENAPI_VERSION,
        plugins=[plugin],
        info={"description": "The REST API of Jobbergate: applications, job scripts and job submissions."},
        servers=[{"url": MOUNT}],
    )
    _add_components(spec)
    for contribution in contributions:
        if contribution.routes:
            summary = (getattr(contribution.plugin.module, "__doc__", None) or "").strip().partition("\n")[0]
            spec.tag({"name": contribution.plugin.slug, "description": summary})
        for route in contribution.routes:
            path = contribution.plugin.prefix + route.path
            spec.path(path=path, operations={route.method.lower(): _operation(plugin, contribution, route)})
    return spec.to_dict()


def encode(document: dict[str, Any]) -> bytes:
    """The document as JSON."""
    return orjson.dumps(document)


def _operation(plugin: MarshmallowPlugin, contribution: Contribution, route: Route) -> dict[str, Any]:
    told: dict[str, Any] = getattr(route.handler, "__apispec__", {})
    doc = (getattr(route.handler, "__doc__", None) or "").strip()
    summary, _, description = doc.partition("\n")
    parameters, body = _request(plugin, route, told)
    operation = {
        "operationId": route.name,
        "tags": [contribution.plugin.slug],
        "summary": told.get("summary") or summary.removesuffix("."),
        "description": _description(told.get("description") or description.strip(), route.permission),
        "parameters": parameters,
        "responses": _responses(plugin, route, told, parses=bool(parameters or body)),
    }
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    if route.permission is not Access.PUBLIC:
        operation["security"] = [{"bearer": []}]
    return operation


def _description(text: str, permission: Permission | Access) -> str:
    allowed = f"Needs the permission `{permission.name}`." if isinstance(permission, Permission) else permission.value
    return f"{text}\n\n{allowed}".strip()


def _request(plugin: MarshmallowPlugin, route: Route, told: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    assert plugin.converter is not None  # noqa: S101 - set as soon as the plugin belongs to a document
    parameters = deepcopy(told.get("parameters", []))
    body: dict[str, Any] = {}
    for declared in told.get("schemas", []):
        location, schema = declared["location"], declared["schema"]
        if location in PARAMETERS:
            parameters += plugin.converter.schema2parameters(schema, location=PARAMETERS[location])
        else:
            body["application/json"] = {"schema": _reference(plugin, schema)}
            if example := _example(schema, answered=False):
                body["application/json"]["example"] = example
    described = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    names = [name for _, name, _, _ in Formatter().parse(route.path) if name]
    parameters += [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for name in names
        if name not in described
    ]
    return parameters, body


def _responses(plugin: MarshmallowPlugin, route: Route, told: dict[str, Any], *, parses: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if route.permission is not Access.PUBLIC:
        responses["401"] = "Unauthorized"
        responses["403"] = "Forbidden"
    if "{" in route.path:
        responses["404"] = "NotFound"
    if parses:
        responses["422"] = "Unprocessable"
    declared = told.get("responses", {})
    for status, response in declared.items():
        responses[status] = {"description": response.get("description") or "The answer."}
        if "content" in response:
            responses[status]["content"] = response["content"]
        elif isinstance(schema := response.get("schema"), Schema):
            content: dict[str, Any] = {"schema": _reference(plugin, schema)}
            if example := _example(schema, answered=True):
                content["example"] = example
            responses[status]["content"] = {"application/json": content}
    if not any(status.startswith("2") for status in declared):
        responses[str(route.status)] = {"description": "Done."}
    return dict(sorted(responses.items()))


def _example(schema: Schema, *, answered: bool) -> dict[str, Any]:
    """The examples of the schema's fields, as one body; empty when a required field has none."""
    fields = schema.dump_fields if answered else schema.load_fields
    example: dict[str, Any] = {}
    for name, field in fields.items():
        nested = getattr(field, "schema", None) or getattr(getattr(field, "inner", None), "schema", None)
        if "example" in field.metadata:
            example[name] = field.metadata["example"]
        elif isinstance(nested, Schema) and (inner := _example(nested, answered=answered)):
            example[name] = [inner] if hasattr(field, "inner") else inner
        elif field.allow_none:
            example[name] = None
        elif field.required or answered:
            return {}
    return example


def _add_components(spec: APISpec) -> None:
    spec.components.security_scheme(
        "bearer",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of the site's OpenID Connect provider.",
        },
    )
    problem = {
        "type": "object",
        "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
            "msg": {"type": "string"},
            "type": {"type": "string"},
            "ctx": {"type": "object"},
        },
    }
    spec.components.schema("Problem", problem)
    for name, description, detail, example in (
        ("Unauthorized", "The token is missing or not valid.", {"type": "string"}, "Not authenticated"),
        ("Forbidden", "The token does not allow this.", {"type": "string"}, "Not authorized"),
        ("NotFound", "There is no such thing.", {"type": "string"}, "Not Found"),
        (
            "Unprocessable",
            "The request is not valid: an entry for each wrong value, or a text.",
            {"oneOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}]},
            [{"loc": ["path", "id"], "msg": "value is not a valid integer", "type": "type_error.integer"}],
        ),
    ):
        schema = {"type": "object", "required": ["detail"], "properties": {"detail": detail}}
        content = {"application/json": {"schema": schema, "example": {"detail": example}}}
        spec.components.response(name, {"description": description, "content": content})


def _reference(plugin: MarshmallowPlugin, schema: Schema) -> Any:  # noqa: ANN401 - a JSON Schema, or a reference to one
    assert plugin.converter is not None  # noqa: S101 - set as soon as the plugin belongs to a document
    return plugin.converter.resolve_nested_schema(schema)  # type: ignore[no-untyped-call]  # apispec leaves it untyped


def _schema_name(schema: object) -> str:
    return type(resolve_schema_instance(schema)).__name__.removesuffix("Schema")  # type: ignore[arg-type]  # apispec resolves what it gave
