"""The processing of a request by its route: parse, call, respond."""

from collections.abc import Sequence
from functools import partial

import structlog
from aiohttp import HttpVersion11, hdrs, web
from tortoise import Model

from jobbergate_server.auth.middleware import IDENTITY, PERMISSIONS
from jobbergate_server.auth.permissions import PUBLIC
from jobbergate_server.database.connection import Database
from jobbergate_server.errors import NotFound, PreconditionFailed, SerializationFailure
from jobbergate_server.events import Origin
from jobbergate_server.http.blocking import watched
from jobbergate_server.http.conditional import entity_tag, is_conditional, revalidated, unmet
from jobbergate_server.http.idempotency import CLAIM, IDEMPOTENCY_KEY, answer_once
from jobbergate_server.http.logs import ID
from jobbergate_server.http.requests import PATH, parse_request
from jobbergate_server.http.responses import json_response
from jobbergate_server.routing.route import MOUNT, WRITING, Answer, Route

SLUGS: web.AppKey[dict[web.AbstractRoute, str]] = web.AppKey("slugs", dict)
"""The slug of the plugin of each mounted route."""

log = structlog.get_logger()


class _RollbackError(Exception):
    """The rollback of a transaction because of a handler's own error response."""

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
        database: Database,
        state: "_Endpoint | None" = None,
    ) -> None:
        """Serve ``route``; ``state`` is the endpoint that reads the resource which ``route`` writes, if any."""
        self._plugin = plugin
        self._route = route
        self._state = state
        self._database = database
        self._request_schemas = route.request_schemas
        self._response_schema = route.response_schema
        self._respond = self._respond_in_transaction if route.method in WRITING else self._respond_without
        self._takes_keys = route.method == "POST" and route.permission is not PUBLIC

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self._request_schemas:
            await parse_request(request, self._request_schemas)
        with self._database.bound(_origin(request)):
            return await watched(self._handle(request), self._report_blocking)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._takes_keys and IDEMPOTENCY_KEY in request.headers:
            return await answer_once(request, self._answer)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._route.prepare:
            await self._route.prepare(request)
        return await self._respond(request)

    def _report_blocking(self, seconds: float) -> None:
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
                if header:  # after the handler, whose own errors take precedence
                    raise PreconditionFailed(header)
                if self._route.inserts and isinstance(answer, Model):
                    await self._database.insert(answer)
                response = _committable(self._response(answer))
                if claim:
                    await claim.keep(response)
                return response
        except _RollbackError as rollback:
            return rollback.response
        except SerializationFailure:
            if is_conditional(request):
                sent = hdrs.IF_MATCH if hdrs.IF_MATCH in request.headers else hdrs.IF_NONE_MATCH
                raise PreconditionFailed(sent) from None
            raise

    async def _respond_without(self, request: web.Request) -> web.StreamResponse:
        return revalidated(request, await self._shown(request))

    async def _shown(self, request: web.Request) -> web.StreamResponse:
        return self._response(await self._route.handler(request))

    async def _unmet(self, request: web.Request) -> str | None:
        """Return the header whose precondition fails for the resource that the request writes.

        From now on, the transaction fails when another request changes the resource concurrently.
        """
        await self._database.freeze()
        return unmet(request, await self._state.tag(request, self._route) if self._state else None)

    async def tag(self, request: web.Request, writing: Route) -> str | None:
        """Return the entity tag of the GET response for the path of a request to ``writing``; None for a 404."""
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


def _origin(request: web.Request) -> Origin:
    """Return the caller and the id of the request, as the origin of its events."""
    request_id, identity = request.get(ID), request.get(IDENTITY)
    if identity is None:
        return Origin(request_id=request_id)
    return Origin(identity.subject, identity.email, identity.client_id, request_id)


async def _meet_expectation(request: web.Request) -> None:
    """Send 100 Continue if the client expects it; ignore other expectations (RFC 9110, section 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the final response has not started


def mount(app: web.Application, slug: str, routes: Sequence[Route], database: Database) -> None:
    """Serve the ``routes`` of the plugin ``slug``."""
    endpoint = partial(_Endpoint, slug, database=database)
    # Single resources: unlike a list, their responses are never streamed.
    states = {it.shape: endpoint(it) for it in routes if it.method == "GET" and it.path.endswith("}")}
    for route in routes:
        serve = endpoint(route, state=states.get(route.shape)).__call__
        path = MOUNT + route.location(slug)
        mounted = app.router.add_route(route.method, path, serve, expect_handler=_meet_expectation)
        app[PERMISSIONS][mounted] = route.permission
        app[SLUGS][mounted] = slug
