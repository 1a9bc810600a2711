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
"""The parts of a request that are its body, as aiohttp-apispec calls them, with their content types."""

Answer = web.StreamResponse | Model | dict[str, Any] | list[Any] | None


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path below the plugin's prefix, the handler for them, and what a token must allow.

    The handler is an aiohttp coroutine under aiohttp-apispec's decorators. It answers with a
    `aiohttp.web.StreamResponse`; or with a row, a mapping or a list, which the schema that it declares for ``status``
    turns into JSON; or with None for a status without a body.

    POST, PUT, PATCH and DELETE run inside one database transaction, which is committed before the answer leaves and
    rolled back when the handler raises or answers with a status from 400. What takes long (storing files, rendering)
    is done by ``prepare``, which runs before the transaction begins and leaves its results on the request.

    What a GET answers has an entity tag. That of one thing, whose path ends with a parameter, is also made when a
    request to the same path asks for a state of the thing with `If-Match`, so its handler must not send its answer in
    parts. A POST with an `Idempotency-Key` is done once.

    Raises:
        ValueError: The method or the path is not one that can be served.
        TypeError: The permission is not one.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[Answer]]
    permission: Permission | Access = field(kw_only=True)
    status: int = field(default=200, kw_only=True)
    inserts: bool = field(default=False, kw_only=True)
    """Whether the handler returns a new row, which is inserted in the same statement as its events where possible."""
    prepare: Callable[[web.Request], Awaitable[None]] | None = field(default=None, kw_only=True)
    under: str | None = field(default=None, kw_only=True)
    """The segment between mount and path: the plugin's slug, unless ``""`` puts the route directly below the mount."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.method!r} is not one of the methods {', '.join(sorted(METHODS))}")
        if self.path and not self.path.startswith("/"):
            raise ValueError(f"the path {self.path!r} must be empty or begin with '/'")
        if self.under:
            raise ValueError(f"under must be '' or None, not {self.under!r}")
        web.UrlDispatcher().add_resource(self.path)  # refuses a path that is not well formed
        if not isinstance(self.permission, Permission | Access):
            raise TypeError(f"{self.method} {self.path!r} must have a Permission, AUTHENTICATED or PUBLIC")

    def location(self, slug: str) -> str:
        """Return the path below the mount, for the plugin ``slug``."""
        return self.path if self.under == "" else f"/{slug}{self.path}"

    @property
    def name(self) -> str:
        """The name of the handler, which is the operation's name in the API document."""
        return str(getattr(self.handler, "__name__", type(self.handler).__name__))

    @property
    def shape(self) -> str:
        """The path with anonymous parameters: of two routes with one shape, only one can be reached."""
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
        """The schemas of the bodies that the handler takes; those of paths, queries and headers have no name."""
        return [schema for location, schema in self.request_schemas.items() if location in BODIES]

    @property
    def response_schema(self) -> ma.Schema | None:
        """The schema of the successful answer, if the handler's decorators declare one."""
        responses = getattr(self.handler, "__apispec__", {}).get("responses", {})
        schema = responses.get(str(self.status), {}).get("schema")
        return schema if isinstance(schema, ma.Schema) else None

    def schemas(self) -> Iterator[type[ma.Schema]]:
        """The classes of all schemas of requests and answers that the handler's decorators declare, each once."""
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
    """The name of ``schema`` in the API document: that of its class without `Schema` at its end."""
    return schema.__name__.removesuffix("Schema")
