"""Conditional requests (RFC 9110, section 13): entity tags of responses, and preconditions of requests."""

import re
from hashlib import blake2b
from http import HTTPStatus

from aiohttp import hdrs, web

ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
ANY_TAG = "*"


def entity_tag(response: web.StreamResponse) -> str | None:
    """Return the entity tag of the response to a GET; None unless its status is 200.

    Equal bytes yield equal tags in every process. The tag of a streamed response is None.
    """
    if response.status != HTTPStatus.OK or not isinstance(response, web.Response):
        return None
    return f'"{blake2b(response.body, digest_size=16).hexdigest()}"' if isinstance(response.body, bytes) else None


def revalidated(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Return the response to a GET with its entity tag, or 304 without a body when the client cached it."""
    tag = entity_tag(response)
    if tag is None:
        return response
    response.headers[hdrs.ETAG] = tag
    if hdrs.IF_NONE_MATCH in request.headers and _names(request, hdrs.IF_NONE_MATCH, tag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={hdrs.ETAG: tag})
    return response


def is_conditional(request: web.Request) -> bool:
    """Return whether a writing request depends on the state of its target."""
    return hdrs.IF_MATCH in request.headers or hdrs.IF_NONE_MATCH in request.headers


def unmet(request: web.Request, tag: str | None) -> str | None:
    """Return the header of a writing request whose precondition the entity tag does not meet, or None.

    The tag is None when the target does not exist.
    """
    headers = request.headers
    if hdrs.IF_MATCH in headers and not (tag and _names(request, hdrs.IF_MATCH, tag)):
        return hdrs.IF_MATCH
    if hdrs.IF_NONE_MATCH in headers and tag and _names(request, hdrs.IF_NONE_MATCH, tag):
        return hdrs.IF_NONE_MATCH
    return None


def _names(request: web.Request, header: str, tag: str) -> bool:
    """Return whether the header lists the entity tag or `*`; weak tags match in `If-None-Match` only."""
    value = ", ".join(request.headers.getall(header))
    if value.strip() == ANY_TAG:
        return True
    return any(opaque == tag and not (weak and header == hdrs.IF_MATCH) for weak, opaque in ENTITY_TAG.findall(value))
