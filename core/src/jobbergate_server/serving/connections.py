"""Connections: their idle time, and the response to bytes that are not a valid request."""

import asyncio
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import web

from jobbergate_server.http.errors import error_response
from jobbergate_server.http.response_headers import FIXED_HEADERS

LINGERING_TIME = 5.0
"""Seconds of reading after an early response, so that a client that still sends receives it (RFC 9112, 9.6)."""
IDLE_SECONDS = 75.0
"""Seconds until a client must send the head of a request, from the connection or the last response on.

Proxies keep a connection for 60 s. The server must not close one that a proxy is about to use.
"""
MAX_FIELD = 32 * 1024
"""Maximum bytes of a header field: twice those of a token, so that longer tokens are rejected as tokens."""
UNREADABLE = "The request could not be read."

log = structlog.get_logger()


class Connection(web.RequestHandler):
    """A connection with the server's usual error responses, without the parser's message."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to bytes that are not a valid request, and close the connection."""
        if status != web.HTTPBadRequest.status_code:
            return super().handle_error(request, status, exc, message)
        log.info("malformed request", reason=type(exc).__name__)
        response = error_response(status, UNREADABLE, FIXED_HEADERS)
        response.force_close()
        return response


class Runner(web.AppRunner):
    """A runner that serves an application over these connections."""

    @property
    def server(self) -> web.Server | None:
        """The factory of connections; None before the application has started."""
        server = super().server
        if server is None:
            return None
        options: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "lingering_time": LINGERING_TIME,
            "keepalive_timeout": IDLE_SECONDS,
            "max_field_size": MAX_FIELD,
            "auto_decompress": False,  # `http.bodies` decompresses
        }
        connection = partial(Connection, server, **options)
        return cast("web.Server", connection)  # aiohttp's site only calls it
