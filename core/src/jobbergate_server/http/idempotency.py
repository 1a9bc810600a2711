"""Repeats of a POST: with the same `Idempotency-Key` it is done once, and answered the same for a day.

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

KEY = "Idempotency-Key"
MAX_LENGTH = 255
KEPT = timedelta(hours=24)
PURGE_SECONDS = 3600.0
"""How often answers that are too old are deleted."""

log = structlog.get_logger()

TURNS: web.AppKey[WeakValueDictionary[str, asyncio.Lock]] = web.AppKey("turns", WeakValueDictionary)
"""The locks of the keys that are in use in this process."""


class _TakenError(Exception):
    """Another process has used the key meanwhile."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is used for a request: the digest of who has sent which one, and that of the request."""

    id: str
    fingerprint: str

    @classmethod
    async def of(cls, request: web.Request) -> "Claim":
        """The claim of a request whose parts are loaded.

        Raises:
            BadRequest: The key is not one.
        """
        keys = request.headers.getall(KEY)
        if len(keys) != 1 or not (0 < len(keys[0]) <= MAX_LENGTH and keys[0].isascii() and keys[0].isprintable()):
            raise BadRequest(f"The header {KEY} must be sent once, with 1 to {MAX_LENGTH} printable ASCII characters.")
        # What the schemas made of the body: how a form is parted, or a body is packed, differs from time to time.
        parts = [request.path_qs, request.get(BODY), request.get(FORM)]
        # In a thread, as there may be a hundred megabytes of files.
        fingerprint = await asyncio.to_thread(_digest, parts)
        return cls(_digest([request[IDENTITY].subject, keys[0]]), fingerprint)

    async def answer(self) -> web.Response | None:
        """The answer that the key was given before; None when it was not used, or too long ago.

        Raises:
            Unprocessable: It was used for another request.
        """
        known = await IdempotencyKey.get_or_none(id=self.id)
        if known is None:
            return None
        if known.created_at <= datetime.now(UTC) - KEPT:
            await IdempotencyKey.filter(id=known.id, created_at=known.created_at).delete()
            return None
        if known.fingerprint != self.fingerprint:
            raise Unprocessable(f"The {KEY} was used for another request.")
        return web.Response(status=known.status, headers=known.headers, body=known.body or None)

    async def hold(self) -> None:
        """Note in the current transaction that the key is used; who else wants to waits for the end of that.

        Raises:
            _TakenError: It was used meanwhile.
        """
        try:
            await IdempotencyKey.create(
                id=self.id, fingerprint=self.fingerprint, created_at=transaction_time(), status=0, headers={}, body=b""
            )
        except IntegrityError:
            raise _TakenError from None

    async def keep(self, response: web.StreamResponse) -> None:
        """Keep the answer, in the transaction that has made what it tells of.

        Raises:
            TypeError: It is one that is sent in parts.
        """
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes | None):
            raise TypeError("the answer to a POST must be whole, so that it can be repeated")
        await IdempotencyKey.filter(id=self.id).update(
            status=response.status,
            headers={str(name): value for name, value in response.headers.items()},
            body=response.body or b"",
        )


CLAIM: web.RequestKey[Claim] = web.RequestKey("claim", Claim)


async def answer_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer of ``handler``, which holds and keeps the request's `CLAIM`; or the one to an earlier request.

    A request that fails leaves its key unused.

    Raises:
        BadRequest: The key is not one.
        Unprocessable: It was used for another request.
    """
    claim = await Claim.of(request)
    # Whoever waits here needs no connection to the database for it.
    async with request.app[TURNS].setdefault(claim.id, asyncio.Lock()):
        request[CLAIM] = claim
        while (answer := await claim.answer()) is None:
            with suppress(_TakenError):
                return await handler(request)
        return answer


async def purge(database: Database) -> None:
    """Delete the answers that are too old."""
    with database.bound():
        await IdempotencyKey.filter(created_at__lte=datetime.now(UTC) - KEPT).delete()


async def purge_regularly(database: Database) -> None:
    """Delete the answers that are too old, again and again; a failure is logged, and the next time is another try."""
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
