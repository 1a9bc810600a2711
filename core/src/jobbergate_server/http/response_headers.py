"""Headers that tell browsers and caches what an answer must not be used for, and nobody more than that."""

from aiohttp import web

from jobbergate_server.auth.middleware import IDENTITY

FIXED = {
    "Server": "jobbergate-server",  # in place of aiohttp's, which tells its version and Python's
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every answer."""


async def restrict(request: web.Request, response: web.StreamResponse) -> None:
    """Let nobody guess what an answer is, and no cache keep one that was made for a user; called before any leaves.

    Sources: Fetch standard, `X-Content-Type-Options`; RFC 9111, section 5.2.2.5.
    """
    response.headers.update(FIXED)
    if IDENTITY in request:
        response.headers.setdefault("Cache-Control", "no-store")
