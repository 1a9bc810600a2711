"""Routes of plugins, and the way of a request through one: authorise, parse, call, answer."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import marshmallow as ma
import structlog
from aiohttp import HttpVersion11, hdrs, web
from tortoise import Model

from jobbergate_server.auth.identity import Identity, InvalidToken, set_caller
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.blocking import watched
from jobbergate_server.database import Database
from jobbergate_server.errors import NotFound, Overtaken, PreconditionFailed, Unauthorized
from jobbergate_server.idempotency import CLAIM, KEY, answer_once
from jobbergate_server.permissions import IDENTITY, Access, Permission, require_permission
from jobbergate_server.preconditions import entity_tag, is_conditional, revalidated, unmet
from jobbergate_server.requests import PATH, bearer_token, parse_request
from jobbergate_server.responses import CONTENT_TYPE, json_response

if TYPE_CHECKING:
    from jobbergate_server.plugins import Plugin

log = structlog.get_logger()

MOUNT = "/jobbergate"
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = WRITING | {"GET"}
BODIES = {"json": CONTENT_TYPE, "form": "multipart/form-data"}
"""The parts of a request that are its body, as aiohttp-apispec calls them, with their content types."""

PLUGIN: web.RequestKey[str] = web.RequestKey("plugin", str)
"""The slug of the plugin that brings the request's route."""

Answer = web.StreamResponse | Model | dict[str, Any] | list[Any] | None


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path below the plugin's prefix, the handler for them, and what a token must allow.

    The handler is an aiohttp coroutine under aiohttp-apispec's decorators. It answers with a
    `aiohttp.web.StreamResponse`; or with a row, a mapping or a list, which the schema that it declares for ``status``
    turns into JSON; or with None for a status without a body.

    POST, PUT, PATCH and DELETE run inside one database transaction, which is committed before the answer leaves and
    rolled back when the handler raises or answers with a status from 400. A row that is new when the handler returns
    it is inserted then: the fastest way where a request writes nothing else. What takes long (storing files, rendering)
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
    prepare: Callable[[web.Request], Awaitable[None]] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.method!r} is not one of the methods {', '.join(sorted(METHODS))}")
        if self.path and not self.path.startswith("/"):
            raise ValueError(f"the path {self.path!r} must be empty or begin with '/'")
        web.UrlDispatcher().add_resource(self.path)  # refuses a path that is not well formed
        if not isinstance(self.permission, Permission | Access):
            raise TypeError(f"{self.method} {self.path!r} must have a Permission, AUTHENTICATED or PUBLIC")

    @property
    def name(self) -> str:
        """The name of the handler, which is the operation's name in the API document."""
        return str(getattr(self.handler, "__name__", type(self.handler).__name__))

    @property
    def shape(self) -> str:
        """The path with its parameters made anonymous: two routes of one shape can never both be reached."""
        return re.sub(r"\{[^}]*\}", "{}", self.path)

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


def schema_name(schema: type[ma.Schema]) -> str:
    """The name of ``schema`` in the API document: that of its class without `Schema` at its end."""
    return schema.__name__.removesuffix("Schema")


@dataclass(frozen=True, slots=True)
class HandledRequest:
    """A request that was answered.

    ``route`` is the path of its route with names for its parameters, such as `/jobbergate/job-scripts/{job_script_id}`,
    and ``plugin`` the slug of the plugin that brings it; both are None when there is no such route. ``seconds`` is the
    time from the request's head to the answer.
    """

    method: str
    route: str | None
    plugin: str | None
    status: int
    seconds: float


class _RollbackError(Exception):
    """Carries a handler's own error answer out of the transaction."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__(response.status)
        self.response = response


class _Endpoint:
    """The aiohttp handler that serves a route."""

    def __init__(
        self,
        plugin: str,
        route: Route,
        *,
        verifier: TokenVerifier,
        database: Database,
        state: "_Endpoint | None" = None,
    ) -> None:
        """Serve ``route``; ``state`` is that of the GET which shows what it writes, if there is one."""
        self._plugin = plugin
        self._route = route
        self._state = state
        self._verifier = verifier
        self._database = database
        self._request_schemas = route.request_schemas
        self._response_schema = route.response_schema
        self._respond = self._respond_in_transaction if route.method in WRITING else self._respond_without
        self._takes_keys = route.method == "POST" and route.permission is not Access.PUBLIC

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        request[PLUGIN] = self._plugin
        permission = self._route.permission
        if permission is not Access.PUBLIC:
            request[IDENTITY] = await _authenticate(request, self._verifier)
            require_permission(request[IDENTITY], permission)
        set_caller(request.get(IDENTITY))
        if self._request_schemas:
            await parse_request(request, self._request_schemas)
        with self._database.bound():
            return await watched(self._handle(request), self._tell_blocking)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._takes_keys and KEY in request.headers:
            return await answer_once(request, self._answer)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._route.prepare:
            await self._route.prepare(request)
        return await self._respond(request)

    def _tell_blocking(self, seconds: float) -> None:
        log.warning(
            "event loop blocked by a handler",
            plugin=self._plugin,
            method=self._route.method,
            route=self._route.path,
            ms=round(seconds * 1000),
        )

    async def _respond_in_transaction(self, request: web.Request) -> web.StreamResponse:
        try:
            async with self._database.transaction():
                header = await self._unmet(request) if is_conditional(request) else None
                if claim := request.get(CLAIM):
                    await claim.hold()
                answer = await self._route.handler(request)
                if header:  # only now, as a request that fails by itself is answered as without the header
                    raise PreconditionFailed(header)
                if isinstance(answer, Model) and not answer._saved_in_db:  # noqa: SLF001 - no public attribute tells it
                    await self._database.insert(answer)
                response = _committable(self._response(answer))
                if claim:
                    await claim.keep(response)
                return response
        except _RollbackError as rollback:
            return rollback.response
        except Overtaken:
            if is_conditional(request):
                sent = hdrs.IF_MATCH if hdrs.IF_MATCH in request.headers else hdrs.IF_NONE_MATCH
                raise PreconditionFailed(sent) from None
            raise

    async def _respond_without(self, request: web.Request) -> web.StreamResponse:
        return revalidated(request, await self._shown(request))

    async def _shown(self, request: web.Request) -> web.StreamResponse:
        return self._response(await self._route.handler(request))

    async def _unmet(self, request: web.Request) -> str | None:
        """The header of the request that forbids it in the state of what it writes.

        That state is the one that the transaction sees from now on: it fails when others change it meanwhile.
        """
        await self._database.freeze()
        return unmet(request, await self._state.tag(request, self._route) if self._state else None)

    async def tag(self, request: web.Request, writing: Route) -> str | None:
        """The entity tag of what a GET for the path of a request to ``writing`` gets; None when there is nothing."""
        values = [request.match_info[name] for name in writing.parameters]
        request.match_info.update(zip(self._route.parameters, values, strict=True))
        sent = request.get(PATH, {})
        await parse_request(request, self._request_schemas)
        request[PATH] = {**request.get(PATH, {}), **sent}
        try:
            if self._route.prepare:
                await self._route.prepare(request)
            return entity_tag(await self._shown(request))
        except NotFound:
            return None

    def _response(self, answer: Answer) -> web.StreamResponse:
        if isinstance(answer, web.StreamResponse):
            return answer
        status = self._route.status
        if answer is None and status == web.HTTPNoContent.status_code:
            return web.Response(status=status)
        if self._response_schema is not None and answer is not None:
            answer = self._response_schema.dump(answer, many=isinstance(answer, list))
        return json_response(answer, status=status)


def _committable(response: web.StreamResponse) -> web.StreamResponse:
    if response.status >= web.HTTPBadRequest.status_code:
        raise _RollbackError(response)
    return response


async def _meet_expectation(request: web.Request) -> None:
    """Let a client send the body that it waits with; what else it expects is ignored (RFC 9110, section 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _authenticate(request: web.Request, verifier: TokenVerifier) -> Identity:
    try:
        return await verifier.verify(bearer_token(request))
    except InvalidToken as error:
        log.info("token refused", reason=str(error))
        raise Unauthorized from None


def mount(
    app: web.Application, plugin: "Plugin", routes: Sequence[Route], verifier: TokenVerifier, database: Database
) -> None:
    """Serve the ``routes`` of ``plugin``."""
    endpoint = partial(_Endpoint, plugin.slug, verifier=verifier, database=database)
    # One thing, which unlike a list is never answered in parts.
    states = {it.shape: endpoint(it) for it in routes if it.method == "GET" and it.path.endswith("}")}
    for route in routes:
        serve = endpoint(route, state=states.get(route.shape)).__call__
        path = MOUNT + plugin.prefix + route.path
        app.router.add_route(route.method, path, serve, expect_handler=_meet_expectation)
