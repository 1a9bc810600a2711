"""Cross-origin requests (Fetch standard, CORS protocol): off unless the operator lists origins."""

from aiohttp import web
from aiohttp.typedefs import Handler

from jobbergate_server.http.keys import SETTINGS

METHODS = "DELETE, GET, OPTIONS, PATCH, POST, PUT"
MAX_AGE = "600"
ANYONE = "*"


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights of allowed origins."""
    is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not is_preflight or _allowed(request) is None:
        return await handler(request)
    headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": MAX_AGE}
    if requested := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = requested
    return web.Response(text="OK", headers=headers)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Mark an answer that pages of the request's origin may read; called before any answer leaves."""
    if ANYONE not in request.app[SETTINGS].cors.origins:
        # Also on answers without an origin: a cache would hand them to those who have one.
        response.headers.add("Vary", "Origin")
    if (allowed := _allowed(request)) is None:
        return
    response.headers["Access-Control-Allow-Origin"] = allowed
    if allowed != ANYONE:
        # Credentials with `*` would let every page of the web act as whoever has it open.
        response.headers["Access-Control-Allow-Credentials"] = "true"


def _allowed(request: web.Request) -> str | None:
    """The value of `Access-Control-Allow-Origin` for the request, None when its origin may not read the answer."""
    origins, origin = request.app[SETTINGS].cors.origins, request.headers.get("Origin")
    if origin is None:
        return None
    if ANYONE in origins:
        return ANYONE
    return origin if origin in origins else None
