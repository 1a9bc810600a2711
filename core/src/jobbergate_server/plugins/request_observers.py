"""Observers: plugins that the server notifies of every request after its response."""

import time
from collections.abc import Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from jobbergate_server.plugins.context import HandledRequest
from jobbergate_server.plugins.contribution import Contribution, active
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.routing.endpoint import SLUGS

log = structlog.get_logger()


def observing_middleware(plugins: Plugins, observers: Sequence[Contribution]) -> Middleware:
    """Return the middleware that notifies ``observers`` of every request."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = time.perf_counter()
        response = await handler(request)
        seconds = time.perf_counter() - begin
        route = request.match_info.route
        path = route.resource.canonical if route.resource else None
        handled = HandledRequest(request.method, path, request.app[SLUGS].get(route), response.status, seconds)
        for observer in active(observers):
            try:
                plugins.run(observer.plugin, "on_request", request=handled, context=observer.context)
            except Exception:
                log.exception("request observer failed", plugin=observer.plugin.slug)
        return response

    return middleware
