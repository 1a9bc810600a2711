"""The task that sends due deliveries."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

import aiohttp
import structlog
from aiohttp import web
from yarl import URL

from jobbergate_server import Unavailable
from jobbergate_webhooks.addresses import HTTP, HTTPS, Addresses
from jobbergate_webhooks.messages import headers
from jobbergate_webhooks.models import Delivery, Status
from jobbergate_webhooks.queue import GONE, claim, settle
from jobbergate_webhooks.settings import Webhooks

AT_ONCE = 20
"""Deliveries that one process sends concurrently."""
AT_ONCE_EACH = 4
"""Concurrent deliveries to one webhook, so that a slow receiver does not block the remaining ones."""
POLL_SECONDS = 5.0
"""Seconds between two queries for due retries and for deliveries of processes that have ended."""
CLAIM_SECONDS = 30.0
"""Seconds beyond its timeout for which a delivery is reserved for the process that sends it."""
CLOSE_SECONDS = 3.0
"""Seconds within which running deliveries must end when the server shuts down."""
ERROR_LENGTH = 500
"""Characters of a stored error."""

log = structlog.get_logger()


class Courier:
    """The sender of due deliveries."""

    def __init__(self, settings: Webhooks, addresses: Addresses) -> None:
        self._settings = settings
        self._sessions = {scheme: _session(addresses.connector(scheme), settings.timeout) for scheme in (HTTP, HTTPS)}
        self._poll_seconds = min([POLL_SECONDS, *settings.retry_after])
        self._wake = asyncio.Event()
        self._closing = False
        self.storing = asyncio.Lock()
        """Held while deliveries are stored, so that they keep the order of their events."""
        self._sending: dict[asyncio.Task[None], int] = {}
        self.task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Query for due deliveries now."""
        self._wake.set()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Claim no more deliveries, and wait ``seconds`` for running ones. The remaining ones are retried later."""
        self._closing = True
        self.wake()
        await asyncio.wait([self.task])
        if self._sending:
            await asyncio.wait(self._sending, timeout=seconds)
        for task in (rest := list(self._sending)):
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                await self._send_due()
            except Unavailable as error:
                log.warning("deliveries not read", reason=error.detail)
            except Exception:
                log.exception("deliveries not read")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._poll_seconds)

    async def _send_due(self) -> None:
        while len(self._sending) < AT_ONCE and not self._closing:
            busy = [webhook for webhook, count in Counter(self._sending.values()).items() if count >= AT_ONCE_EACH]
            delivery = await claim(self._settings.timeout + CLAIM_SECONDS, busy)
            if delivery is None:
                return
            if delivery.status is Status.PENDING:
                task = asyncio.create_task(self._deliver(delivery))
                self._sending[task] = delivery.webhook_id
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self.wake()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            status, error = await self._post(delivery)
            await settle(delivery, status, error, self._settings.retry_after)
        except Exception:  # a process retries it after the claim has expired
            log.exception("outcome of a delivery not stored", delivery_id=delivery.id)

    async def _post(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """Return the status of the response, if any, and the error, if any."""
        url = URL(delivery.webhook.url)
        body = delivery.payload.encode()
        try:
            # The body of the response remains unread: it has no use, and it may be endless.
            async with self._sessions[url.scheme].post(
                url, data=body, headers=headers(delivery, int(time.time())), allow_redirects=False
            ) as response:
                status = response.status
        except Exception as error:  # noqa: BLE001 - the owner reads the reason in the delivery
            return None, self._reason(error)
        if status == GONE:
            return status, "response 410 Gone: the webhook was disabled"
        return status, None if response.ok and status < web.HTTPMultipleChoices.status_code else f"response {status}"

    def _reason(self, error: Exception) -> str:
        """Return the reason of a failed attempt as printable text. It quotes nothing of a response."""
        match error:
            case TimeoutError():
                return f"no response within {self._settings.timeout:g} seconds"
            case aiohttp.ClientConnectorError() if error.__cause__:
                return "".join(char for char in str(error.__cause__) if char.isprintable())[:ERROR_LENGTH]
            case _:
                return type(error).__name__


def _session(connector: aiohttp.TCPConnector, timeout: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),  # owners share the session
        auto_decompress=False,
    )


COURIER: web.AppKey[Courier] = web.AppKey("webhook_courier", Courier)
