"""The API document of a plugin of a site: what its decorators, docstrings and schemas say of its routes."""

from types import ModuleType
from typing import Any

from aiohttp import web
from aiohttp_apispec import docs, form_schema, headers_schema, json_schema, response_schema
from documents import check, resolved
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator import validate as validate_document

from jobbergate_server import AUTHENTICATED, PUBLIC, Route, Schema
from jobbergate_server.http import fields
from jobbergate_server.http.forms import File
from jobbergate_server.openapi import build_document
from jobbergate_server.plugins.context import PluginContext
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.settings import Section


def documented(*routes: Route, slug: str = "shelf", module: ModuleType | None = None) -> dict[str, Any]:
    """The document of a plugin with these routes, which is valid."""
    plugin = Plugin(slug, module or ModuleType("shelf", "Books on a shelf.\n\nAnd more."), slug, "1")
    document = build_document([Contribution(plugin, PluginContext(slug, Section()), routes=list(routes))])
    validate_document(document, cls=OpenAPIV31SpecValidator)
    return document


class BookSchema(Schema):
    """A book."""

    title = fields.Text(required=True, example="Moby Dick")
    lent_to = fields.Text(required=True, allow_none=True)


class ScanSchema(Schema):
    """A book's pages."""

    pages = fields.List(File(), required=True, description="The pages.")
    cover = File()


class ScanHeadersSchema(Schema):
    """The headers of a scan."""

    length = fields.Integer(data_key="Content-Length")
    scanner = fields.Text(data_key="X-Scanner")


async def plain(_: web.Request) -> None:
    """Do nothing.

    At all.
    """


def test_a_handler_without_decorators_is_documented_by_its_docstring() -> None:
    document = documented(Route("GET", "/{shelf}/books", plain, permission=AUTHENTICATED, status=204))
    assert document["tags"] == [{"name": "shelf", "description": "Books on a shelf."}]
    operation = document["paths"]["/shelf/{shelf}/books"]["get"]
    assert operation["operationId"] == "plain"
    assert operation["summary"] == "Do nothing"
    assert operation["description"] == "At all.\n\nEvery caller with a valid token."
    assert operation["parameters"] == [{"in": "path", "name": "shelf", "required": True, "schema": {"type": "string"}}]
    assert list(operation["responses"]) == ["204", "401", "403", "404", "503"]
    assert operation["responses"]["204"] == {"description": "No Content"}


def test_an_answer_without_a_value_is_null_where_its_status_has_a_body() -> None:
    document = documented(Route("POST", "/plain", plain, permission=PUBLIC, status=201))
    content = document["paths"]["/shelf/plain"]["post"]["responses"]["201"]["content"]
    assert content == {"application/json": {"schema": {"type": "null"}, "example": None}}


def test_a_list_of_things_has_an_example_with_one() -> None:
    @response_schema(BookSchema(many=True))
    async def list_books(_: web.Request) -> list[object]:
        """List the books."""
        return []

    document = documented(Route("GET", "", list_books, permission=PUBLIC))
    content = document["paths"]["/shelf"]["get"]["responses"]["200"]["content"]["application/json"]
    assert content["schema"] == {"type": "array", "items": {"$ref": "#/components/schemas/Book"}}
    assert content["example"] == [{"title": "Moby Dick", "lent_to": None}]


def test_a_declared_error_has_the_shape_of_all_errors() -> None:
    @docs(responses={"409": {"description": "The book is lent."}})
    @json_schema(BookSchema)
    @response_schema(BookSchema, 201)
    async def add_book(_: web.Request) -> None:
        """Add a book."""

    book = {"title": "Moby Dick", "lent_to": None}
    document = documented(Route("POST", "", add_book, permission=PUBLIC, status=201))
    operation = document["paths"]["/shelf"]["post"]
    assert list(operation["responses"]) == ["201", "400", "408", "409", "412", "413", "422"]
    conflict = operation["responses"]["409"]
    assert conflict["description"] == "The book is lent."
    check({"detail": "Lent."}, conflict["content"]["application/json"]["schema"], document)
    assert operation["requestBody"]["content"]["application/json"]["example"] == book
    assert operation["responses"]["201"]["content"]["application/json"]["example"] == book


def test_a_form_with_files_is_multipart_and_a_client_need_not_tell_its_length() -> None:
    @headers_schema(ScanHeadersSchema)
    @form_schema(ScanSchema)
    async def scan_book(_: web.Request) -> None:
        """Scan a book."""

    document = documented(Route("POST", "/scan", scan_book, permission=PUBLIC, status=204))
    operation = document["paths"]["/shelf/scan"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["X-Scanner"]
    content = operation["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]
    properties = resolved(document, content["multipart/form-data"]["schema"])["properties"]
    assert properties["cover"] == {"type": "string", "contentMediaType": "application/octet-stream"}
    assert properties["pages"]["items"] == properties["cover"]
