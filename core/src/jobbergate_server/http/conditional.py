"""Conditional requests (RFC 9110, section 13): entity tags of answers, and what clients make to depend on them."""

import re
from hashlib import blake2b
from http import HTTPStatus

from aiohttp import hdrs, web

TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
ANY = "*"


def entity_tag(response: web.StreamResponse) -> str | None:
    """The entity tag of what a GET has answered: the same for the same bytes in every process; None when it is no 200.

    An answer that is sent in parts has none either.
    """
    if response.status != HTTPStatus.OK or not isinstance(response, web.Response):
        return None
    return f'"{blake2b(response.body, digest_size=16).hexdigest()}"' if isinstance(response.body, bytes) else None


def revalidated(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The answer to a GET with its entity tag; or 304 without a body, when the client has the same already."""
    tag = entity_tag(response)
    if tag is None:
        return response
    response.headers[hdrs.ETAG] = tag
    if hdrs.IF_NONE_MATCH in request.headers and _names(request, hdrs.IF_NONE_MATCH, tag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={hdrs.ETAG: tag})
    return response


def is_conditional(request: web.Request) -> bool:
    """Whether a request that writes depends on the state of what it writes."""
    return hdrs.IF_MATCH in request.headers or hdrs.IF_NONE_MATCH in request.headers


def unmet(request: web.Request, tag: str | None) -> str | None:
    """The header of a request that writes which forbids it in a state with this entity tag; None when none does.

    The tag is None where there is no state.
    """
    headers = request.headers
    if hdrs.IF_MATCH in headers and not (tag and _names(request, hdrs.IF_MATCH, tag)):
        return hdrs.IF_MATCH
    if hdrs.IF_NONE_MATCH in headers and tag and _names(request, hdrs.IF_NONE_MATCH, tag):
        return hdrs.IF_NONE_MATCH
    return None


def _names(request: web.Request, header: str, tag: str) -> bool:
    """Whether the header names the entity tag or all of them; a weak one counts for `If-None-Match` alone."""
    value = ", ".join(request.headers.getall(header))
    if value.strip() == ANY:
        return True
    return any(opaque == tag and not (weak and header == hdrs.IF_MATCH) for weak, opaque in TAG.findall(value))
