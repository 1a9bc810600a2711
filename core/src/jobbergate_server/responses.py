"""JSON answers: compact, UTF-8, timestamps as the wire has them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from aiohttp import web

CONTENT_TYPE = "application/json"


def timestamp(moment: datetime) -> str:
    """The moment as naive UTC in ISO 8601, six digits of fraction or none when it is zero.

    >>> timestamp(datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC))
    '2026-01-02T03:04:05.000060'
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def json_response(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with ``data`` as its JSON body.

    Raises:
        TypeError: ``data`` holds something that JSON has no form for.
    """
    return web.Response(body=_encoded(data), status=status, headers=headers, content_type=CONTENT_TYPE)


def _encoded(data: object) -> bytes:
    try:
        return orjson.dumps(data, option=orjson.OPT_PASSTHROUGH_DATETIME, default=_default)
    except TypeError:
        # An error may tell a client what it sent: integers beyond 64 bits, or text that UTF-8 has no form for.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_default)
        return text.encode(errors="replace")


def _default(value: object) -> str:
    if isinstance(value, datetime):
        return timestamp(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
