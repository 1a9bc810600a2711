"""Routes of plugins."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import marshmallow as ma
from aiohttp import web
from tortoise import Model

from jobbergate_server.auth.permissions import Access, Permission
from jobbergate_server.http.responses import CONTENT_TYPE

MOUNT = "/jobbergate"
"""The path below which the server mounts all routes."""
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = WRITING | {"GET"}
BODIES = {"json": CONTENT_TYPE, "form": "multipart/form-data"}
"""aiohttp-apispec's locations of request bodies, with their content types."""

Answer = web.StreamResponse | Model | dict[str, Any] | list[Any] | None


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path below the plugin's prefix, their handler, and the permission that a token needs.

    The handler is an aiohttp coroutine with aiohttp-apispec's decorators. It returns a `aiohttp.web.StreamResponse`, a
    row, a mapping, a list, or None for a status without a body. The schema that it declares for ``status`` converts
    rows, mappings and lists to JSON.

    POST, PUT, PATCH and DELETE run inside one database transaction. It is committed before the response is sent. It is
    rolled back when the handler raises, or returns a status of 400 or higher. ``prepare`` does slow work, such as
    storing files or rendering, before the transaction begins. It stores its results on the request.

    Each GET response has an entity tag. A path that ends with a parameter identifies one resource. Its GET handler must
    not stream the response, because a write with `If-Match` compares the entity tag. A POST with an `Idempotency-Key`
    is executed once.

    Raises:
        ValueError: The server does not support the method, the path or ``under``.
        TypeError: The permission is not a `Permission`, AUTHENTICATED or PUBLIC.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[Answer]]
    permission: Permission | Access = field(kw_only=True)
    status: int = field(default=200, kw_only=True)
    inserts: bool = field(default=False, kw_only=True)
    """Whether the server inserts the row that the handler returns, if possible in one statement with its events."""
    prepare: Callable[[web.Request], Awaitable[None]] | None = field(default=None, kw_only=True)
    under: str | None = field(default=None, kw_only=True)
    """The segment between mount and path: ``""`` for no segment, None for the plugin's slug."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.method!r} is not one of the methods {', '.join(sorted(METHODS))}")
        if self.path and not self.path.startswith("/"):
            raise ValueError(f"the path {self.path!r} must be empty or begin with '/'")
        if self.under:
            raise ValueError(f"under must be '' or None, not {self.under!r}")
        web.UrlDispatcher().add_resource(self.path)  # rejects a malformed path
        if not isinstance(self.permission, Permission | Access):
            raise TypeError(f"{self.method} {self.path!r} must have a Permission, AUTHENTICATED or PUBLIC")

    def location(self, slug: str) -> str:
        """Return the path below the mount, for the plugin ``slug``."""
        return self.path if self.under == "" else f"/{slug}{self.path}"

    @property
    def name(self) -> str:
        """The name of the handler, which is the operationId in the API document."""
        return str(getattr(self.handler, "__name__", type(self.handler).__name__))

    @property
    def shape(self) -> str:
        """The path with anonymous parameters: two routes with the same shape conflict."""
        return anonymous(self.path)

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters, in their order."""
        return re.findall(r"\{(\w+)", self.path)

    @property
    def request_schemas(self) -> dict[str, ma.Schema]:
        """The schemas of the request by its parts, as the handler's decorators declare them."""
        return {declared["location"]: declared["schema"] for declared in getattr(self.handler, "__schemas__", [])}

    @property
    def request_bodies(self) -> list[ma.Schema]:
        """The schemas of the request bodies, which have a name in the API document."""
        return [schema for location, schema in self.request_schemas.items() if location in BODIES]

    @property
    def response_schema(self) -> ma.Schema | None:
        """The schema of the successful response, if the handler's decorators declare one."""
        responses = getattr(self.handler, "__apispec__", {}).get("responses", {})
        schema = responses.get(str(self.status), {}).get("schema")
        return schema if isinstance(schema, ma.Schema) else None

    def schemas(self) -> Iterator[type[ma.Schema]]:
        """Yield the class of each schema of requests and responses that the handler's decorators declare, once."""
        responses = getattr(self.handler, "__apispec__", {}).get("responses", {}).values()
        declared = [*self.request_bodies, *(response.get("schema") for response in responses)]
        rest = [schema for schema in declared if isinstance(schema, ma.Schema)]
        seen: set[type[ma.Schema]] = set()
        while rest:
            schema = rest.pop()
            if type(schema) not in seen:
                seen.add(type(schema))
                yield type(schema)
                inner = (getattr(field, "inner", field) for field in schema.fields.values())
                rest += [nested for field in inner if isinstance(nested := getattr(field, "schema", None), ma.Schema)]


def anonymous(path: str) -> str:
    """Return the path without the names of its parameters.

    >>> anonymous("/job-scripts/{job_script_id:[0-9]+}")
    '/job-scripts/{}'
    """
    return re.sub(r"\{[^}]*\}", "{}", path)


def schema_name(schema: type[ma.Schema]) -> str:
    """Return the name of ``schema`` in the API document: its class name without `Schema` at the end."""
    return schema.__name__.removesuffix("Schema")
