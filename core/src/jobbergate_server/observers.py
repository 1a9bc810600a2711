"""Telling plugins of every request that was answered."""

import time
from collections.abc import Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from jobbergate_server.contributions import Contribution, active
from jobbergate_server.errors import Handler
from jobbergate_server.plugins import Plugins
from jobbergate_server.routing import PLUGIN, HandledRequest

log = structlog.get_logger()


def observing_middleware(plugins: Plugins, observers: Sequence[Contribution]) -> Middleware:
    """The middleware that tells ``observers`` of every request."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = time.perf_counter()
        response = await handler(request)
        seconds = time.perf_counter() - begin
        resource = request.match_info.route.resource
        handled = HandledRequest(
            request.method, resource.canonical if resource else None, request.get(PLUGIN), response.status, seconds
        )
        for observer in active(observers):
            try:
                plugins.run(observer.plugin, "on_request", request=handled, context=observer.context)
            except Exception:
                log.exception("request not noted", plugin=observer.plugin.slug)
        return response

    return middleware
