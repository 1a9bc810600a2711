"""Security headers of responses for browsers and caches."""

from aiohttp import web

from jobbergate_server.auth.middleware import IDENTITY

FIXED_HEADERS = {
    "Server": "jobbergate-server",  # aiohttp's value discloses its version and Python's
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every response."""


async def restrict(request: web.Request, response: web.StreamResponse) -> None:
    """Forbid MIME sniffing, and caching of responses to authenticated requests, before a response is sent.

    Sources: Fetch standard, `X-Content-Type-Options`; RFC 9111, section 5.2.2.5.
    """
    response.headers.update(FIXED_HEADERS)
    if IDENTITY in request:
        response.headers.setdefault("Cache-Control", "no-store")
