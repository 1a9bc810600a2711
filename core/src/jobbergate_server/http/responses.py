"""JSON responses: compact, UTF-8, with the timestamps of the wire."""

import json
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import orjson
from aiohttp import web

CONTENT_TYPE = "application/json"


def timestamp(moment: datetime) -> str:
    """Return the moment as naive UTC in ISO 8601, with six digits of fraction unless it is zero.

    >>> timestamp(datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC))
    '2026-01-02T03:04:05.000060'
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def json_response(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with ``data`` as its JSON body.

    Raises:
        TypeError: ``data`` contains a value that is not JSON serializable.
    """
    return web.Response(body=_encoded(data), status=status, headers=headers, content_type=CONTENT_TYPE)


async def stream_json(request: web.Request, batches: AsyncGenerator[Sequence[object], None]) -> web.StreamResponse:
    """Send one JSON array with the items of all ``batches``, each before the next is requested.

    An exception of the first batch can still become an error response. When a later one fails, the connection is closed
    before the end of the array. No client then accepts the array as complete.

    Raises:
        TypeError: A batch contains a value that is not JSON serializable.
        Exception: The ``batches`` raise it.
    """
    async with aclosing(batches), aclosing(_array(batches)) as parts:
        part: bytes | None = await anext(parts)
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        while part is not None:
            try:
                await response.write(part)
            except ConnectionError:  # the client disconnected
                break
            try:
                part = await anext(parts, None)
            except BaseException:
                if request.transport:
                    request.transport.abort()
                raise
    return response


async def _array(batches: AsyncIterable[Sequence[object]]) -> AsyncGenerator[bytes, None]:
    """Yield the JSON array of the items, in parts."""
    before = b"["
    async for batch in batches:
        if not batch:
            continue
        part = before + _encoded(batch)[1:-1]
        del batch  # free memory: a client may read slowly
        yield part
        before = b","
    yield b"]" if before == b"," else b"[]"


def _encoded(data: object) -> bytes:
    try:
        return orjson.dumps(data, option=orjson.OPT_PASSTHROUGH_DATETIME, default=_default)
    except TypeError:
        # An error can quote values of a client: integers beyond 64 bits, or text with lone surrogates.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_default)
        return text.encode(errors="replace")


def _default(value: object) -> str:
    if isinstance(value, datetime):
        return timestamp(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")
