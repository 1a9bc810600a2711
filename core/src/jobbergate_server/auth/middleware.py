"""Authentication: the identity of a request, and its access to the matched route."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.permissions import PUBLIC, Access, Permission, require_permission
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.errors import BadRequest, Unauthorized

IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)
"""The identity of the caller; absent from a request to a public route."""
PERMISSIONS: web.AppKey[dict[web.AbstractRoute, Permission | Access]] = web.AppKey("permissions", dict)
"""The requirement of each mounted route. Other routes serve no resource: an error, or the login of `dev`."""

REPEATED_AUTHORIZATION = "The header Authorization must be sent once."

log = structlog.get_logger()


def authentication_middleware(verifier: TokenVerifier) -> Middleware:
    """Return the middleware that verifies the token of a request before the server reads its body."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        required = request.app[PERMISSIONS].get(request.match_info.route, PUBLIC)
        if required is not PUBLIC:
            identity = await _authenticate(request, verifier)
            request[IDENTITY] = identity
            require_permission(identity, required)
        return await handler(request)

    return middleware


async def _authenticate(request: web.Request, verifier: TokenVerifier) -> Identity:
    try:
        return await verifier.verify(_bearer_token(request))
    except InvalidToken as error:
        log.info("token rejected", reason=str(error))
        raise Unauthorized from None


def _bearer_token(request: web.Request) -> str:
    """Return the token of the `Authorization` header (RFC 6750, section 2.1).

    Raises:
        BadRequest: The request has more than one such header (section 3.1).
        Unauthorized: The header is missing, or its scheme is not Bearer.
    """
    sent = request.headers.getall("Authorization", [])
    if len(sent) > 1:
        raise BadRequest(REPEATED_AUTHORIZATION)
    scheme, _, token = "".join(sent).partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized
    return token
