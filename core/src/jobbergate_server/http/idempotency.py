"""Retries of a POST: with the same `Idempotency-Key` it is executed once, and returns one response for a day.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from weakref import WeakValueDictionary

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from tortoise.exceptions import IntegrityError

from jobbergate_server.auth.middleware import IDENTITY
from jobbergate_server.database.connection import Database
from jobbergate_server.database.models import IdempotencyKey
from jobbergate_server.database.transaction import transaction_time
from jobbergate_server.errors import BadRequest, Unprocessable
from jobbergate_server.http.forms import Upload
from jobbergate_server.http.requests import BODY, FORM

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_KEY_LENGTH = 255
RESPONSE_RETENTION = timedelta(hours=24)
PURGE_SECONDS = 3600.0
"""The interval between deletions of expired responses."""

log = structlog.get_logger()

TURNS: web.AppKey[WeakValueDictionary[str, asyncio.Lock]] = web.AppKey("turns", WeakValueDictionary)
"""The locks of the keys that are in use in this process."""


class _TakenError(Exception):
    """Another process used the key meanwhile."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The use of a key for a request: the digest of caller and key, and the fingerprint of the request."""

    id: str
    fingerprint: str

    @classmethod
    async def of(cls, request: web.Request) -> "Claim":
        """Return the claim of a parsed request.

        Raises:
            BadRequest: The key is not valid.
        """
        keys = request.headers.getall(IDEMPOTENCY_KEY)
        if len(keys) != 1 or not (0 < len(keys[0]) <= MAX_KEY_LENGTH and keys[0].isascii() and keys[0].isprintable()):
            raise BadRequest(
                f"The header {IDEMPOTENCY_KEY} must be sent once, "
                f"with 1 to {MAX_KEY_LENGTH} printable ASCII characters."
            )
        # The parsed body: retries can differ in the boundary of a form, or in the compression of a body.
        parts = [request.path_qs, request.get(BODY), request.get(FORM)]
        # In a thread, because files can amount to a hundred megabytes.
        fingerprint = await asyncio.to_thread(_digest, parts)
        return cls(_digest([request[IDENTITY].subject, keys[0]]), fingerprint)

    async def answer(self) -> web.Response | None:
        """Return the stored response of the key; None when the key is unused or expired.

        Raises:
            Unprocessable: The key was used for another request.
        """
        known = await IdempotencyKey.get_or_none(id=self.id)
        if known is None:
            return None
        if known.created_at <= datetime.now(UTC) - RESPONSE_RETENTION:
            await IdempotencyKey.filter(id=known.id, created_at=known.created_at).delete()
            return None
        if known.fingerprint != self.fingerprint:
            raise Unprocessable(f"The {IDEMPOTENCY_KEY} was used for another request.")
        return web.Response(status=known.status, headers=known.headers, body=known.body or None)

    async def hold(self) -> None:
        """Insert the key in the current transaction, for whose end concurrent requests with the same key wait.

        Raises:
            _TakenError: Another process used the key meanwhile.
        """
        try:
            await IdempotencyKey.create(
                id=self.id, fingerprint=self.fingerprint, created_at=transaction_time(), status=0, headers={}, body=b""
            )
        except IntegrityError:
            raise _TakenError from None

    async def keep(self, response: web.StreamResponse) -> None:
        """Store the response in the transaction of the request.

        Raises:
            TypeError: The response is streamed.
        """
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes | None):
            raise TypeError("the response to a POST must not be streamed, because a retry returns it again")
        await IdempotencyKey.filter(id=self.id).update(
            status=response.status,
            headers={str(name): value for name, value in response.headers.items()},
            body=response.body or b"",
        )


CLAIM: web.RequestKey[Claim] = web.RequestKey("claim", Claim)


async def answer_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return the response of ``handler``, which stores it under the request's `CLAIM`, or the one stored before.

    A failed request does not use its key.

    Raises:
        BadRequest: The key is not valid.
        Unprocessable: The key was used for another request.
    """
    claim = await Claim.of(request)
    # Requests that wait here need no connection to the database.
    async with request.app[TURNS].setdefault(claim.id, asyncio.Lock()):
        request[CLAIM] = claim
        while (answer := await claim.answer()) is None:
            with suppress(_TakenError):
                return await handler(request)
        return answer


async def purge(database: Database) -> None:
    """Delete expired responses."""
    with database.bound():
        await IdempotencyKey.filter(created_at__lte=datetime.now(UTC) - RESPONSE_RETENTION).delete()


async def purge_regularly(database: Database) -> None:
    """Delete expired responses every `PURGE_SECONDS`; log a failure and retry at the next interval."""
    while True:
        await asyncio.sleep(PURGE_SECONDS)
        try:
            await purge(database)
        except Exception:
            log.exception("idempotency keys not purged")


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Upload):
        return [value.name, value.content_type, sha256(value.content).hexdigest()]
    return repr(value)
