"""What a request may fail with, and how each failure looks on the wire."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from aiohttp import web
from tortoise.exceptions import IntegrityError

from jobbergate_server.responses import json_response

log = structlog.get_logger()

MAX_ENTRIES = 100
"""How many wrong values one answer names."""
RETRY_AFTER = "1"
"""Seconds that a client is asked to wait before it repeats a request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """A request that cannot be served, answered as ``{"detail": …}``.

    Raise one of the subclasses from a handler. The transaction of the request is rolled back.
    """

    status = 500

    def __init__(self, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers


class BadRequest(ApiError):
    """The request makes no sense as a whole (400)."""

    status = 400


class Unauthorized(ApiError):
    """The request carries no token that this server accepts (401, RFC 6750)."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Not authenticated", {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The token does not allow this (403)."""

    status = 403


class NotFound(ApiError):
    """There is no such thing (404)."""

    status = 404


class RequestTimeout(ApiError):
    """The body did not come in time (408); the connection is closed."""

    status = 408

    def __init__(self) -> None:
        super().__init__("The body was not received in time.", {"Connection": "close"})


class Conflict(ApiError):
    """The request contradicts what is stored (409)."""

    status = 409


class PreconditionFailed(ApiError):
    """The thing is not in the state on which the request depends (412, RFC 9110, section 13)."""

    status = 412

    def __init__(self, header: str) -> None:
        super().__init__(f"The state does not fulfil the header {header}.")


class ContentTooLarge(ApiError):
    """The body is larger than this server takes (413)."""

    status = 413


class Unprocessable(ApiError):
    """The request is well formed but cannot be done, for a reason told in words (422)."""

    status = 422


class Unavailable(ApiError):
    """Something that the request needs does not answer at the moment (503); it may be repeated."""

    status = 503

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"Retry-After": RETRY_AFTER})


class Overtaken(Unavailable):
    """Others have changed the same rows at the same time, and only one of them could go on (503)."""

    def __init__(self) -> None:
        super().__init__("The same was changed by others at the same time.")


class Problem(NamedTuple):
    """What is wrong with one value, in the words of the wire format.

    ``type`` is the machine's name of it (``type_error.integer``), ``msg`` the reader's, ``ctx`` the numbers in it.
    """

    type: str
    msg: str
    ctx: Mapping[str, object] | None = None

    def entry(self, loc: Iterable[str | int]) -> dict[str, object]:
        """The problem as an element of a 422 answer, at ``loc``: where the value stands in the request."""
        entry: dict[str, object] = {"loc": list(loc), "msg": self.msg, "type": self.type}
        if self.ctx is not None:
            entry["ctx"] = self.ctx
        return entry


class InvalidRequest(ApiError):
    """Values of the request are not valid (422); ``entries`` are made by `Problem.entry`.

    The answer has the first `MAX_ENTRIES` of them, so that a large body does not become a far larger answer.
    """

    status = 422

    def __init__(self, entries: list[dict[str, object]]) -> None:
        super().__init__(entries[:MAX_ENTRIES])


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into the wire's error answer, and log those that are this server's own."""
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
        # A unique value that another row has, in a plugin that has no better words for it.
        return error_response(409, "The request contradicts a row that is stored already.")
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return error_response(500, "Internal Server Error")


def error_response(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> web.Response:  # noqa: ANN401 - whatever JSON can hold
    """An answer ``{"detail": detail}``."""
    return json_response({"detail": detail}, status=status, headers=headers)
