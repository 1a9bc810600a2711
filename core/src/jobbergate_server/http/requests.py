"""What a request carries: its token, and the values of its path, query, headers and body.

The schemas are those of aiohttp-apispec's decorators. They are loaded here and not by that package's middleware,
because the wire wants the token judged before a body is read, and the errors of all parts of a request in one answer.
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
from jobbergate_server.http.forms import UNREADABLE, Upload, read_form

BODY = web.RequestKey("body", dict[str, Any])
QUERY = web.RequestKey("query", dict[str, Any])
PATH = web.RequestKey("path", dict[str, Any])
FORM = web.RequestKey("form", dict[str, Any])
HEADERS = web.RequestKey("headers", dict[str, Any])

Read = Callable[[web.Request], Awaitable[object]]

REMEMBERED = 1_000
"""How many queries are kept, in the form that their schemas give them."""
MAX_DEPTH = 200
"""Objects and lists in each other in a JSON body: far below where a reader or writer of JSON gives up."""
MAX_VALUES = 20_000
"""Values in a JSON body: what is made of each takes a hundred times the bytes that it was sent in."""
BODY_SECONDS = 60.0
"""How long a body may take to arrive, so that nobody holds a request for ever by sending it slowly."""
BODY_RATE = 128 * 1024
"""Bytes a second for which there is more time, where its length is told: what a slow line of one megabit takes."""


async def _path(request: web.Request) -> object:
    return dict(request.match_info)


async def _query(request: web.Request) -> object:
    return dict(request.query.items())  # of a repeated parameter the last counts


async def _headers(request: web.Request) -> object:
    return {name.lower(): value for name, value in request.headers.items()}


async def _json(request: web.Request) -> object:
    """The body as JSON; None when there is none, its raw bytes when it claims to be something else.

    Raises:
        InvalidRequest: It is not JSON.
        BadRequest: It cannot be read as JSON at all.
    """
    try:
        raw = await (_unpacked(request) if "Content-Encoding" in request.headers else request.read())
    except web.RequestPayloadError:  # such as chunks that are none; aiohttp closes the connection
        raise BadRequest(UNREADABLE, {"Connection": "close"}) from None
    except ValueError:
        raise BadRequest(UNREADABLE) from None
    if not raw:
        return None
    subtype = request.content_type.partition("/")
    if request.headers.get("Content-Type") and not (
        subtype[0] == "application" and (subtype[2] == "json" or subtype[2].endswith("+json"))
    ):
        return raw
    try:
        value: object = json.loads(raw.removeprefix(BOM_UTF8).decode())  # some editors begin a file with the mark
    except json.JSONDecodeError as error:
        context = {"msg": error.msg, "doc": error.doc, "pos": error.pos, "lineno": error.lineno, "colno": error.colno}
        problem = FieldError("value_error.jsondecode", str(error), context)
        raise InvalidRequest([problem.entry(["body", error.pos])]) from None
    except (ValueError, RecursionError):
        raise BadRequest(UNREADABLE) from None
    if _is_too_much(value):
        raise BadRequest(UNREADABLE)
    return value


async def _unpacked(request: web.Request) -> bytes:
    body = bytearray()
    async for piece in unpacked(request):
        body += piece
        if len(body) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    return bytes(body)


def _is_too_much(value: object) -> bool:
    """Whether more than `MAX_DEPTH` objects and lists of ``value`` stand in each other, or it has too many values."""
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
    """``read``, with a deadline for it."""

    async def read_in_time(request: web.Request) -> object:
        seconds = BODY_SECONDS + (request.content_length or 0) / BODY_RATE
        try:
            async with asyncio.timeout(seconds):
                return await read(request)
        except TimeoutError:
            raise RequestTimeout from None

    return read_in_time


Source = tuple[str, web.RequestKey[dict[str, Any]], Read]

# In the order in which their errors stand in an answer.
SOURCES: Mapping[str, Source] = {
    "match_info": ("path", PATH, _path),
    "querystring": ("query", QUERY, _query),
    "headers": ("header", HEADERS, _headers),
    "json": ("body", BODY, _in_time(_json)),
    "form": ("body", FORM, _in_time(read_form)),
}


def _by_schema(form: MultiDict[str | Upload], schema: ma.Schema) -> dict[str, object]:
    """All values of the fields that are lists, and of the others the last."""
    lists = {name for name, field in schema.load_fields.items() if isinstance(field, ma.fields.List)}
    return {name: form.getall(name) if name in lists else form.getall(name)[-1] for name in form}


@lru_cache(REMEMBERED)
def _loaded(schema: ma.Schema, query: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return cast("dict[str, Any]", schema.load(dict(query)))


def _load(schema: ma.Schema, location: str, value: dict[str, Any]) -> dict[str, Any]:
    """The values of a part of the request; those of a query are kept, because who polls a list sends the same again."""
    if location == "querystring":
        return dict(_loaded(schema, tuple(value.items())))
    return cast("dict[str, Any]", schema.load(value))


async def parse_request(request: web.Request, schemas: Mapping[str, ma.Schema]) -> None:
    """Load the parts of the request that ``schemas`` describe into `PATH`, `QUERY`, `HEADERS`, `BODY` and `FORM`.

    Raises:
        InvalidRequest: Values are missing or not valid; there is an entry for each.
        BadRequest: The body cannot be read.
        RequestTimeout: It takes too long to arrive.
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
