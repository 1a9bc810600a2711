"""What is written to standard error: one line a request, and what goes wrong."""

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
MAX_REQUEST_ID = 128
ID: web.RequestKey[str] = web.RequestKey("id", str)

_SPECIAL = frozenset(" ='\"")

# Tokens, addresses and bodies are local variables somewhere, which neither format may show.
_WITH_TRACEBACK = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def _text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """A line for people; the request's is written in half the time that structlog's own renderer takes."""
    if "exc_info" in event:
        return str(_WITH_TRACEBACK(logger, method, event))
    line = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    return " ".join([line, *(f"{name}={_value(event[name])}" for name in sorted(event))])


def _value(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and not _SPECIAL.intersection(text) else repr(text)


class _Lines:
    """A stream for lines of the log; one that cannot be written, as on a full disk, is lost and fails no request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write a line."""
        with suppress(OSError, ValueError):  # a ValueError is of a stream that is closed
            self._stream.write(line)
            self._stream.flush()

    def flush(self) -> None:
        """Nothing is kept back."""


def configure_logging(config: settings.Log) -> None:
    """Write events of this server and of its libraries, from the configured level on, in the configured format."""
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
    # Not by way of the standard library, which takes longer over a line than over everything else in a short request.
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
    # They log each statement with its values: contents of users, which no log of ours shows.
    for library in ("tortoise", "aiosqlite"):
        logging.getLogger(library).setLevel(logging.WARNING)


def logging_middleware() -> Middleware:
    """The middleware that gives a request an id and writes a line when it is answered.

    The id is the client's own when it sends a plain one.
    """
    log: FilteringBoundLogger = structlog.get_logger().bind()  # which takes longer than the line itself

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request.headers.get(REQUEST_ID, "")
        if not (0 < len(request_id) <= MAX_REQUEST_ID and request_id.isascii() and request_id.isprintable()):
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
    """Tell the client the id of its request; called before any answer leaves."""
    if (request_id := request.get(ID)) is not None:
        response.headers[REQUEST_ID] = request_id
