"""Connections: how long one may be idle, and what is answered to bytes that cannot be read as a request."""

import asyncio
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import web

from jobbergate_server.http.errors import error_response
from jobbergate_server.http.response_headers import FIXED_HEADERS

LINGERING_TIME = 5.0
"""Seconds that are read on after an early answer, so that a client which is still sending gets it (RFC 9112, 9.6)."""
IDLE_SECONDS = 75.0
"""How long a client may take to send the head of a request, from the connection or the last answer on.

Proxies keep a connection for 60 s, and must not find one closed that they are about to use.
"""
MAX_FIELD = 32 * 1024
"""Bytes of a header, so that a token of the size which is accepted comes through, and a larger one is told so."""
UNREADABLE = "The request could not be read."

log = structlog.get_logger()


class Connection(web.RequestHandler):
    """A connection whose errors are like all others, without a word of the parser's."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read, such as a request line that is none, and close."""
        if status != web.HTTPBadRequest.status_code:
            return super().handle_error(request, status, exc, message)
        log.info("request not understood", reason=type(exc).__name__)
        response = error_response(status, UNREADABLE, FIXED_HEADERS)
        response.force_close()
        return response


class Runner(web.AppRunner):
    """Serves an application over such connections."""

    @property
    def server(self) -> web.Server | None:
        """What makes a connection; None before the application has started."""
        server = super().server
        if server is None:
            return None
        options: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "lingering_time": LINGERING_TIME,
            "keepalive_timeout": IDLE_SECONDS,
            "max_field_size": MAX_FIELD,
            "auto_decompress": False,  # which `bodies` does
        }
        connection = partial(Connection, server, **options)
        return cast("web.Server", connection)  # a site does no more than call it
