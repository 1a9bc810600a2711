"""Error responses, and the middleware that turns exceptions into them."""

from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from tortoise.exceptions import IntegrityError

from jobbergate_server.errors import ApiError, Unavailable
from jobbergate_server.http.responses import json_response

log = structlog.get_logger()


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return an error response for every exception, and log failures of the server."""
    try:
        return await handler(request)
    except ApiError as error:
        if isinstance(error, Unavailable):
            cause = type(error.__cause__).__name__ if error.__cause__ else None
            log.warning(
                "request not served", method=request.method, path=request.path, reason=error.detail, cause=cause
            )
        return error_response(error.status, error.detail, error.headers)
    except web.HTTPException as error:
        if isinstance(error, web.HTTPMove):
            return web.Response(status=error.status, headers={"Location": str(error.location)})
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, error.reason, headers)
    except IntegrityError:
        # A duplicate unique value, for which the plugin raises no error of its own.
        return error_response(409, "The request conflicts with an existing record.")
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return error_response(500, "Internal Server Error")


def error_response(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> web.Response:  # noqa: ANN401 - any JSON value
    """Return the response ``{"detail": detail}``."""
    return json_response({"detail": detail}, status=status, headers=headers)
