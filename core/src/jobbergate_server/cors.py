"""Cross-origin requests (Fetch standard, CORS protocol): off unless the operator lists origins."""

from aiohttp import web

from jobbergate_server.errors import Handler
from jobbergate_server.settings import SETTINGS

METHODS = "DELETE, GET, OPTIONS, PATCH, POST, PUT"
MAX_AGE = "600"


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights, and mark answers that pages of a listed origin may read."""
    origins = request.app[SETTINGS].cors.origins
    origin = request.headers.get("Origin")
    if origin is None or not origins:
        return await handler(request)
    anyone = "*" in origins
    if not anyone and origin not in origins:
        return await handler(request)
    is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    response = _preflight(request) if is_preflight else await handler(request)
    response.headers["Access-Control-Allow-Origin"] = "*" if anyone else origin
    if not anyone:
        # Credentials with `*` would let every page of the web act as whoever has it open.
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Vary"] = "Origin"
    return response


def _preflight(request: web.Request) -> web.Response:
    headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": MAX_AGE}
    if requested := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = requested
    return web.Response(text="OK", headers=headers)
