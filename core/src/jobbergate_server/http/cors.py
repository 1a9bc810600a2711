"""Cross-origin requests (Fetch standard, CORS protocol): off unless the operator lists origins."""

from aiohttp import web
from aiohttp.typedefs import Handler

from jobbergate_server.http.keys import SETTINGS

METHODS = "DELETE, GET, OPTIONS, PATCH, POST, PUT"
MAX_AGE_SECONDS = "600"
ANY_ORIGIN = "*"


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to preflight requests of allowed origins."""
    is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not is_preflight or _allowed(request) is None:
        return await handler(request)
    headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": MAX_AGE_SECONDS}
    if requested := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = requested
    return web.Response(text="OK", headers=headers)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Add CORS headers to a response before it is sent."""
    if ANY_ORIGIN not in request.app[SETTINGS].cors.origins:
        # Also without an origin: a cache could return the response to a request with one.
        response.headers.add("Vary", "Origin")
    if (allowed := _allowed(request)) is None:
        return
    response.headers["Access-Control-Allow-Origin"] = allowed
    if allowed != ANY_ORIGIN:
        # Credentials with `*` would let every web page act as its visitor.
        response.headers["Access-Control-Allow-Credentials"] = "true"


def _allowed(request: web.Request) -> str | None:
    """Return the value of `Access-Control-Allow-Origin`; None when the origin must not read the response."""
    origins, origin = request.app[SETTINGS].cors.origins, request.headers.get("Origin")
    if origin is None:
        return None
    if ANY_ORIGIN in origins:
        return ANY_ORIGIN
    return origin if origin in origins else None
