"""The API document: OpenAPI 3.1, from aiohttp-apispec's decorators and from the routes.

aiohttp-apispec itself writes Swagger 2.0. Its decorators store their arguments on the handler. This module only reads
them, so that all applications in one process have the same document.

This module derives the parts that the decorators do not declare. The summary and the description are the docstring.
The errors are those of the core. The examples of bodies are those of their fields. A handler declares its own errors
with a status and a description: ``@docs(responses={"409": {"description": "…"}})``.
"""

import inspect
from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from string import Formatter
from typing import Any, NamedTuple

import marshmallow as ma
import orjson
from aiohttp import web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from jobbergate_server.auth.permissions import Access, Permission
from jobbergate_server.http.forms import File
from jobbergate_server.http.responses import CONTENT_TYPE
from jobbergate_server.lists.query import ListQuery
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.routing.route import BODIES, MOUNT, WRITING, Route, schema_name

OPENAPI_VERSION = "3.1.0"
TITLE = "Jobbergate Server"
DESCRIPTION = """\
Applications are templates of job scripts. Job scripts run on clusters. Job submissions send them to a cluster.

Every request carries an access token of the OpenID Connect provider (*Authorize*). The permissions of the token
determine the operations that it allows. All callers with a permission see all resources. Only the owner of a resource
can change or delete it.

Times are in UTC. The body of an error response is `{"detail": …}`: a text, or for status 422 a list of invalid values.

Each GET response has an `ETag`. With `If-None-Match`, a GET returns the resource only if it has changed (304
otherwise). With `If-Match`, a PUT or DELETE of the same path succeeds only if the resource has not changed (412
otherwise). A POST with an `Idempotency-Key` that the client chose can be repeated for 24 hours. The server executes it
once, and returns the same response to every repeat.
"""
PARAMETERS = {"match_info": "path", "querystring": "query", "headers": "header"}
OF_HTTP = frozenset({"accept", "authorization", "content-length", "content-type"})
"""Headers that HTTP clients set; they are not parameters of an operation."""

DETAIL_TEXT = {"type": "string"}
DETAIL_PROBLEMS = {"oneOf": [DETAIL_TEXT, {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}]}
PROBLEM = {"loc": ["path", "id"], "msg": "value is not a valid integer", "type": "type_error.integer"}

ERRORS: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "400": ("BadRequest", "The request is malformed.", DETAIL_TEXT, "There was an error parsing the body"),
    "401": ("Unauthorized", "The token is missing or not valid.", DETAIL_TEXT, "Not authenticated"),
    "403": (
        "Forbidden",
        "The token lacks the permission, or the caller is not the owner.",
        DETAIL_TEXT,
        "Not authorized",
    ),
    "404": ("NotFound", "Not found.", DETAIL_TEXT, "Not Found"),
    "408": ("RequestTimeout", "The body was not sent in time.", DETAIL_TEXT, "The body was not received in time."),
    "409": ("Conflict", "The request conflicts with an existing record.", DETAIL_TEXT, "Already in use."),
    "412": (
        "PreconditionFailed",
        "Precondition failed: the resource does not match `If-Match`, or matches `If-None-Match`.",
        DETAIL_TEXT,
        "Precondition failed: the resource does not match If-Match.",
    ),
    "413": ("ContentTooLarge", "The body is too large.", DETAIL_TEXT, "Request Entity Too Large"),
    "422": ("Unprocessable", "A list of the invalid values, or a text.", DETAIL_PROBLEMS, [PROBLEM]),
    "503": (
        "Unavailable",
        "A dependency (database or file store) is unavailable; retry after Retry-After seconds.",
        DETAIL_TEXT,
        "Try again later.",
    ),
}
"""By status: the name and the description of the shared response, and the schema and an example of its detail."""

CHALLENGED = {"401": "`Bearer`.", "403": "`Bearer`, where the token lacks the permission."}
"""By status, the description of the header `WWW-Authenticate`."""

DOCUMENT: web.AppKey[bytes] = web.AppKey("document", bytes)


class _Part(NamedTuple):
    """The part of a plugin in the document."""

    slug: str
    summary: str
    routes: tuple[Route, ...]


def build_document(contributions: Iterable[Contribution]) -> dict[str, Any]:
    """Return the document of all routes of ``contributions``."""
    return _document([_part(it) for it in contributions])


def _document(parts: Iterable[_Part]) -> dict[str, Any]:
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        title=TITLE,
        version=version("jobbergate-server"),
        openapi_version=OPENAPI_VERSION,
        plugins=[plugin],
        info={"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": MOUNT}],
    )
    assert plugin.converter is not None  # noqa: S101 - set as soon as the plugin belongs to a document
    converter = plugin.converter
    converter.add_attribute_function(_adapt)  # type: ignore[no-untyped-call]  # apispec leaves it untyped
    _add_components(spec)
    for part in parts:
        if part.routes:
            spec.tag({"name": part.slug, "description": part.summary})
        for route in part.routes:
            operation = _operation(converter, part.slug, route)
            spec.path(path=route.location(part.slug), operations={route.method.lower(): operation})
    return spec.to_dict()


def encoded_document(contributions: Iterable[Contribution]) -> bytes:
    """Return the document of all routes of ``contributions`` as JSON; equal documents are encoded once."""
    return _encoded(tuple(_part(it) for it in contributions))


def _part(contribution: Contribution) -> _Part:
    plugin = contribution.plugin
    summary = inspect.cleandoc(plugin.load().__doc__ or "").partition("\n")[0]
    return _Part(plugin.slug, summary, tuple(contribution.routes))


@lru_cache(maxsize=8)
def _encoded(parts: tuple[_Part, ...]) -> bytes:
    return orjson.dumps(_document(parts))


def _operation(converter: OpenAPIConverter, slug: str, route: Route) -> dict[str, Any]:
    annotations: dict[str, Any] = getattr(route.handler, "__apispec__", {})
    summary, description = _texts(route, annotations)
    operation = {
        "operationId": route.name,
        "tags": [slug],
        "summary": summary,
        "description": description,
        "parameters": _parameters(converter, route, annotations),
        "responses": _responses(converter, route, annotations),
    }
    if body := _body(converter, annotations):
        operation["requestBody"] = {"required": True, "content": body}
    if route.permission is not Access.PUBLIC:
        operation["security"] = [{"bearer": []}]
    return operation


def _texts(route: Route, annotations: dict[str, Any]) -> tuple[str, str]:
    """Return the summary and the description of the operation; the description names the required permission."""
    handler = route.handler
    doc = inspect.cleandoc((handler if inspect.isroutine(handler) else type(handler).__call__).__doc__ or "")
    summary, description = annotations.get("summary"), annotations.get("description") or doc
    if summary is None:
        summary, _, description = doc.partition("\n")
    paragraphs = [description.strip()]
    if isinstance(handler, ListQuery):
        paragraphs.append(f"`search` applies to {', '.join(f'`{name}`' for name in handler.search)}.")
    permission = route.permission
    allowed = f"Needs the permission `{permission.name}`." if isinstance(permission, Permission) else permission.value
    return summary.removesuffix("."), "\n\n".join(filter(None, [*paragraphs, allowed]))


def _parameters(converter: OpenAPIConverter, route: Route, annotations: dict[str, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = deepcopy(annotations.get("parameters", []))
    for declared in annotations.get("schemas", []):
        if (location := PARAMETERS.get(declared["location"])) is not None:
            parameters += converter.schema2parameters(declared["schema"], location=location)
    parameters = [it for it in parameters if it["in"] != "header" or it["name"].lower() not in OF_HTTP]
    described = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    parameters += [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for _, name, _, _ in Formatter().parse(route.path)
        if name and name not in described
    ]
    if isinstance(route.handler, ListQuery):
        for parameter in parameters:
            if parameter["name"] == "sort_field":
                parameter["schema"]["enum"] = route.handler.sort
    return parameters


def _body(converter: OpenAPIConverter, annotations: dict[str, Any]) -> dict[str, Any]:
    return {
        BODIES[declared["location"]]: _content(converter, declared["schema"], answered=False)
        for declared in annotations.get("schemas", [])
        if declared["location"] in BODIES
    }


def _responses(converter: OpenAPIConverter, route: Route, annotations: dict[str, Any]) -> dict[str, Any]:
    declared: dict[str, dict[str, Any]] = annotations.get("responses", {})
    responses: dict[str, Any] = {status: _shared(status) for status in _expected_errors(route, annotations)}
    if isinstance(route.handler, ListQuery):
        detail = f"Invalid sorting column requested: nothing. Must be one of {route.handler.sort}"
        responses["400"] = {
            "description": "The list cannot be sorted by this field.",
            "content": _error_content("400", detail),
        }
    if not any(status.startswith("2") for status in declared):
        responses[str(route.status)] = {"description": HTTPStatus(route.status).phrase} | _null_content(route)
    for status, response in declared.items():
        content = response.get("content")
        if isinstance(schema := response.get("schema"), ma.Schema):
            content = {CONTENT_TYPE: _content(converter, schema, answered=True)}
        elif content is None and status in ERRORS:
            content = _error_content(status)
        responses[status] = {"description": response.get("description") or HTTPStatus(int(status)).phrase}
        if content is not None:
            responses[status]["content"] = content
    return dict(sorted(responses.items()))


def _expected_errors(route: Route, annotations: dict[str, Any]) -> Iterator[str]:
    """Yield the error statuses that the core returns before the handler, or for it."""
    locations = {declared["location"] for declared in annotations.get("schemas", [])}
    if route.permission is not Access.PUBLIC:
        yield from ("401", "403", "503")
    if "{" in route.path:
        yield "404"
    if route.method in WRITING:
        yield "412"
    if locations:
        yield "422"
    if locations & BODIES.keys():
        yield from ("400", "408", "413")


def _null_content(route: Route) -> dict[str, Any]:
    """Return the body of a response without a value: JSON's null, unless the status has no body."""
    returned = inspect.signature(route.handler).return_annotation
    if returned not in (None, "None") or route.status == HTTPStatus.NO_CONTENT:
        return {}
    return {"content": {CONTENT_TYPE: {"schema": {"type": "null"}, "example": None}}}


def _content(converter: OpenAPIConverter, schema: ma.Schema, *, answered: bool) -> dict[str, Any]:
    reference = converter.resolve_nested_schema(schema)  # type: ignore[no-untyped-call]  # apispec leaves it untyped
    if not (example := _example(schema, answered=answered)):
        return {"schema": reference}
    return {"schema": reference, "example": [example] if schema.many else example}


def _example(schema: ma.Schema, *, answered: bool) -> dict[str, Any]:
    """Return the examples of the schema's fields as one body; empty if a required field has no example."""
    example: dict[str, Any] = {}
    for name, field in (schema.dump_fields if answered else schema.load_fields).items():
        inner = getattr(field, "inner", None)
        nested = getattr(inner or field, "schema", None)
        if "example" in field.metadata:
            example[field.data_key or name] = field.metadata["example"]
        elif isinstance(nested, ma.Schema) and (value := _example(nested, answered=answered)):
            example[field.data_key or name] = [value] if inner else value
        elif (answered or field.required) and field.allow_none:
            example[field.data_key or name] = None
        elif answered or field.required:
            return {}
    return example


def _adapt(_: OpenAPIConverter, field: ma.fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:
    """Adapt the schema that apispec writes for a field."""
    if "example" in ret:
        ret["examples"] = [ret.pop("example")]  # JSON Schema's keyword, in OpenAPI since 3.1
    return {"type": "string", "contentMediaType": "application/octet-stream"} if isinstance(field, File) else {}


def _schema_name(schema: type[ma.Schema] | ma.Schema) -> str:
    return schema_name(type(resolve_schema_instance(schema)))


def _shared(status: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{ERRORS[status][0]}"}


def _error_content(status: str, example: str | None = None) -> dict[str, Any]:
    _, _, detail, usual = ERRORS[status]
    schema = {"type": "object", "required": ["detail"], "properties": {"detail": detail}}
    return {CONTENT_TYPE: {"schema": schema, "example": {"detail": example or usual}}}


def _add_components(spec: APISpec) -> None:
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the OpenID Connect provider.",
    }
    problem = {
        "type": "object",
        "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {
                "type": "array",
                "items": {"type": ["string", "integer"]},
                "description": "Location of the value: `body`, `query`, `path` or `header`, and the keys below it.",
            },
            "msg": {"type": "string", "description": "Error message for people."},
            "type": {"type": "string", "description": "Error type for programs."},
            "ctx": {"type": "object", "description": "Values that the message contains."},
        },
    }
    spec.components.security_scheme("bearer", bearer)
    spec.components.schema("Problem", problem)
    for status, (name, description, _, _) in ERRORS.items():
        response = {"description": description, "content": _error_content(status)}
        if text := CHALLENGED.get(status):
            response["headers"] = {"WWW-Authenticate": {"description": text, "schema": {"type": "string"}}}
        spec.components.response(name, response)
