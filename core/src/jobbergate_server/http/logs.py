"""The log on standard error: one line a request, and errors."""

import logging
import secrets
import sys
import time
from contextlib import suppress
from typing import TextIO, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from jobbergate_server import settings

REQUEST_ID = "X-Request-ID"
MAX_REQUEST_ID_LENGTH = 128
ID: web.RequestKey[str] = web.RequestKey("id", str)

_SPECIAL = frozenset(" ='\"")

# Local variables contain tokens, addresses and bodies, which neither format may log.
_WITH_TRACEBACK = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def _text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Return a readable line, in half the time of structlog's own renderer."""
    if "exc_info" in event:
        return str(_WITH_TRACEBACK(logger, method, event))
    line = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    return " ".join([line, *(f"{name}={_value(event[name])}" for name in sorted(event))])


def _value(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and not _SPECIAL.intersection(text) else repr(text)


class _Lines:
    """A stream for lines of the log; it drops lines that it cannot write, for example on a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write a line."""
        with suppress(OSError, ValueError):  # a closed stream raises a ValueError
            self._stream.write(line)
            self._stream.flush()

    def flush(self) -> None:
        """Return at once: `write` does not buffer."""


def configure_logging(config: settings.Log) -> None:
    """Configure the level and the format of the log, for this server and its libraries."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer()]
        if config.format == "json"
        else [_text]
    )
    # The standard library needs more time for a line than a short request for the rest.
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(config.level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lines(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config.level)
    # They log each statement with its values, which can contain data of users.
    for library in ("tortoise", "aiosqlite"):
        logging.getLogger(library).setLevel(logging.WARNING)


def logging_middleware() -> Middleware:
    """Return the middleware that assigns an id to a request and logs its response.

    The id is the client's `X-Request-ID` when that is printable ASCII of at most 128 characters.
    """
    log: FilteringBoundLogger = structlog.get_logger().bind()  # binding costs more than the line itself

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request.headers.get(REQUEST_ID, "")
        if not (0 < len(request_id) <= MAX_REQUEST_ID_LENGTH and request_id.isascii() and request_id.isprintable()):
            request_id = secrets.token_hex(16)
        request[ID] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            begin = time.perf_counter()
            response = await handler(request)
            milliseconds = round((time.perf_counter() - begin) * 1000, 1)
            log.info("request", method=request.method, path=request.path, status=response.status, ms=milliseconds)
        return response

    return middleware


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Add the id of the request to a response before it is sent."""
    if (request_id := request.get(ID)) is not None:
        response.headers[REQUEST_ID] = request_id
