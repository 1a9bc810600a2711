"""Errors of requests, and errors that stop a command or the start of the server."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_ENTRIES = 100
"""The maximum number of invalid values in one response."""
RETRY_AFTER = "1"
"""Seconds that a client waits before it retries a request (RFC 9110, section 10.2.3)."""


class ApiError(Exception):
    """A request that fails with the response ``{"detail": …}``.

    Raise one of the subclasses from a handler. The transaction of the request is rolled back.
    """

    status = 500

    def __init__(self, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers


class BadRequest(ApiError):
    """The request is malformed (400)."""

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
    """The resource does not exist (404)."""

    status = 404


class RequestTimeout(ApiError):
    """The body was not received in time (408); the connection is closed."""

    status = 408

    def __init__(self) -> None:
        super().__init__("The body was not received in time.", {"Connection": "close"})


class Conflict(ApiError):
    """The request conflicts with stored data (409)."""

    status = 409


class PreconditionFailed(ApiError):
    """The resource does not meet a precondition of the request (412, RFC 9110, section 13)."""

    status = 412

    def __init__(self, header: str) -> None:
        state = "does not match" if header == "If-Match" else "matches"
        super().__init__(f"Precondition failed: the resource {state} {header}.")


class ContentTooLarge(ApiError):
    """The body exceeds the size limit (413)."""

    status = 413


class Unprocessable(ApiError):
    """The request is well-formed but not processable; the detail states the reason (422)."""

    status = 422


class Unavailable(ApiError):
    """A dependency of the request is unavailable; the client may retry it (503)."""

    status = 503

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"Retry-After": RETRY_AFTER})


class SerializationFailure(Unavailable):
    """A concurrent transaction changed the same rows; the client may retry the request (503)."""

    def __init__(self) -> None:
        super().__init__("Another request changed the same data concurrently. Retry the request.")


class FieldError(NamedTuple):
    """An error of one value, in the words of the wire format.

    ``type`` is its machine-readable name (``type_error.integer``), ``msg`` the text, ``ctx`` the numbers in the text.
    """

    type: str
    msg: str
    ctx: Mapping[str, object] | None = None

    def entry(self, loc: Iterable[str | int]) -> dict[str, object]:
        """Return the error as an element of a 422 response; ``loc`` is the location of the value in the request."""
        entry: dict[str, object] = {"loc": list(loc), "msg": self.msg, "type": self.type}
        if self.ctx is not None:
            entry["ctx"] = self.ctx
        return entry


class InvalidRequest(ApiError):
    """Values of the request are not valid (422); `FieldError.entry` returns the ``entries``.

    The response contains the first `MAX_ENTRIES` of them, so that a large body does not cause a far larger response.
    """

    status = 422

    def __init__(self, entries: list[dict[str, object]]) -> None:
        super().__init__(entries[:MAX_ENTRIES])


class StartError(Exception):
    """The server cannot start; the text contains a line for each reason."""


class SettingsError(StartError):
    """The settings are not valid; the text contains a line for each problem, with the name of the key."""
