"""Errors of requests, and errors that stop a command or the start of the server."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_ENTRIES = 100
"""How many wrong values one answer names."""
RETRY_AFTER = "1"
"""Seconds that a client is asked to wait before it repeats a request."""


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


class SerializationFailure(Unavailable):
    """Others have changed the same rows at the same time, and only one of them could go on (503)."""

    def __init__(self) -> None:
        super().__init__("The same was changed by others at the same time.")


class FieldError(NamedTuple):
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


class StartError(Exception):
    """The server cannot start; the text has a line for each reason."""


class SettingsError(StartError):
    """The settings are not valid; the text has a line for each problem, with the name of the key."""
