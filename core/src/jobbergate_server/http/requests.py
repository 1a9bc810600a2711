"""Parsing of requests: the values of path, query, headers and body.

The schemas are those of aiohttp-apispec's decorators. That package's middleware does not fit the wire: authentication
precedes the reading of a body, and one response reports the errors of all parts of a request.
"""

import asyncio
import json
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, cast

import marshmallow as ma
from aiohttp import web
from multidict import MultiDict

from jobbergate_server.errors import BadRequest, FieldError, InvalidRequest, RequestTimeout
from jobbergate_server.http.bodies import unpacked
from jobbergate_server.http.fields import NOT_MAPPING, REQUIRED, entries
from jobbergate_server.http.forms import UNREADABLE_BODY, Upload, read_form

BODY = web.RequestKey("body", dict[str, Any])
"""`request[BODY]`: the JSON body, loaded by the schema of `json_schema`."""
QUERY = web.RequestKey("query", dict[str, Any])
"""`request[QUERY]`: the query, loaded by the schema of `querystring_schema`."""
PATH = web.RequestKey("path", dict[str, Any])
"""`request[PATH]`: the parameters of the path, loaded by the schema of `match_info_schema`."""
FORM = web.RequestKey("form", dict[str, Any])
"""`request[FORM]`: the form with its files, loaded by the schema of `form_schema`."""
HEADERS = web.RequestKey("headers", dict[str, Any])
"""`request[HEADERS]`: the headers, loaded by the schema of `headers_schema`."""

Read = Callable[[web.Request], Awaitable[object]]

CACHED_QUERIES = 1_000
"""The maximum number of cached query strings, as parsed by their schemas."""
MAX_DEPTH = 200
"""The maximum nesting of a JSON body: far below the limits of JSON parsers."""
MAX_VALUES = 20_000
"""The maximum number of values in a JSON body: each one needs a hundred times its bytes in memory."""
BODY_SECONDS = 60.0
"""The time limit for receiving a body, which disconnects clients that send slowly."""
BODY_RATE = 128 * 1024
"""Minimum upload rate (bytes/s, a slow line of one megabit); a body with Content-Length gets this much extra time."""


async def _path(request: web.Request) -> object:
    return dict(request.match_info)


async def _query(request: web.Request) -> object:
    return dict(request.query.items())  # the last value of a repeated parameter counts


async def _headers(request: web.Request) -> object:
    return {name.lower(): value for name, value in request.headers.items()}


async def _json(request: web.Request) -> object:
    """Return the JSON body; None when it is empty, and its raw bytes when its content type is not JSON.

    Raises:
        InvalidRequest: The body is malformed JSON.
        BadRequest: The body is not UTF-8, not decompressible, too deep or too large.
    """
    try:
        raw = await (_unpacked(request) if "Content-Encoding" in request.headers else request.read())
    except web.RequestPayloadError:  # such as malformed chunks; aiohttp closes the connection
        raise BadRequest(UNREADABLE_BODY, {"Connection": "close"}) from None
    except ValueError:
        raise BadRequest(UNREADABLE_BODY) from None
    if not raw:
        return None
    subtype = request.content_type.partition("/")
    if request.headers.get("Content-Type") and not (
        subtype[0] == "application" and (subtype[2] == "json" or subtype[2].endswith("+json"))
    ):
        return raw
    try:
        value: object = json.loads(raw.removeprefix(BOM_UTF8).decode())  # some editors write it at the start of a file
    except json.JSONDecodeError as error:
        context = {"msg": error.msg, "doc": error.doc, "pos": error.pos, "lineno": error.lineno, "colno": error.colno}
        problem = FieldError("value_error.jsondecode", str(error), context)
        raise InvalidRequest([problem.entry(["body", error.pos])]) from None
    except (ValueError, RecursionError):
        raise BadRequest(UNREADABLE_BODY) from None
    if _is_too_much(value):
        raise BadRequest(UNREADABLE_BODY)
    return value


async def _unpacked(request: web.Request) -> bytes:
    body = bytearray()
    async for piece in unpacked(request):
        body += piece
        if len(body) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    return bytes(body)


def _is_too_much(value: object) -> bool:
    """Return whether ``value`` exceeds `MAX_DEPTH` or `MAX_VALUES`."""
    level: list[Any] = [value]
    left = MAX_VALUES
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        left -= sum(map(len, level))
        if not level or left < 0:
            return left < 0
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def _in_time(read: Read) -> Read:
    """Return ``read`` with a deadline."""

    async def read_in_time(request: web.Request) -> object:
        seconds = BODY_SECONDS + (request.content_length or 0) / BODY_RATE
        try:
            async with asyncio.timeout(seconds):
                return await read(request)
        except TimeoutError:
            raise RequestTimeout from None

    return read_in_time


Source = tuple[str, web.RequestKey[dict[str, Any]], Read]

# In the order of their errors in a response.
SOURCES: Mapping[str, Source] = {
    "match_info": ("path", PATH, _path),
    "querystring": ("query", QUERY, _query),
    "headers": ("header", HEADERS, _headers),
    "json": ("body", BODY, _in_time(_json)),
    "form": ("body", FORM, _in_time(read_form)),
}


def _by_schema(form: MultiDict[str | Upload], schema: ma.Schema) -> dict[str, object]:
    """Return all values of list fields, and the last value of each other field."""
    lists = {name for name, field in schema.load_fields.items() if isinstance(field, ma.fields.List)}
    return {name: form.getall(name) if name in lists else form.getall(name)[-1] for name in form}


@lru_cache(CACHED_QUERIES)
def _loaded(schema: ma.Schema, query: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return cast("dict[str, Any]", schema.load(dict(query)))


def _load(schema: ma.Schema, location: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a part of the request; cache those of a query, because clients poll lists."""
    if location == "querystring":
        return dict(_loaded(schema, tuple(value.items())))
    return cast("dict[str, Any]", schema.load(value))


async def parse_request(request: web.Request, schemas: Mapping[str, ma.Schema]) -> None:
    """Load the parts of the request that ``schemas`` describe into `PATH`, `QUERY`, `HEADERS`, `BODY` and `FORM`.

    Raises:
        InvalidRequest: Values are missing or not valid; it contains an entry for each.
        BadRequest: The body is not readable.
        RequestTimeout: The body was not received in time.
    """
    problems: list[dict[str, object]] = []
    received = {location: await SOURCES[location][2](request) for location in SOURCES if location in schemas}
    if isinstance(form := received.get("form"), MultiDict):
        received["form"] = _by_schema(form, schemas["form"])
    for location, value in received.items():
        loc, key, _ = SOURCES[location]
        if value is None:
            problems.append(REQUIRED.entry([loc]))
        elif not isinstance(value, dict):
            problems.append(NOT_MAPPING.entry([loc]))
        else:
            try:
                request[key] = _load(schemas[location], location, value)
            except ma.ValidationError as error:
                problems.extend(entries(error.messages, loc))
    if problems:
        raise InvalidRequest(problems)
