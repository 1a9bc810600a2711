"""The task that sends what is due."""

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
"""How many deliveries one process sends at the same time."""
AT_ONCE_EACH = 4
"""How many of them may go to one webhook, so that a slow one does not hold up the others."""
POLL_SECONDS = 5.0
"""How often to look for what other processes have left, or what is to be tried again."""
CLAIM_SECONDS = 30.0
"""How much longer than its time-out a delivery belongs to whoever sends it."""
CLOSE_SECONDS = 3.0
"""How long what is being sent may take to end when the server stops."""
ERROR_LENGTH = 500

log = structlog.get_logger()


class Courier:
    """Sends the deliveries that are due, until it is closed."""

    def __init__(self, settings: Webhooks, addresses: Addresses) -> None:
        self._settings = settings
        self._sessions = {scheme: _session(addresses.connector(scheme), settings.timeout) for scheme in (HTTP, HTTPS)}
        self._poll_seconds = min([POLL_SECONDS, *settings.retry_after])
        self._wake = asyncio.Event()
        self._closing = False
        self._sending: dict[asyncio.Task[None], int] = {}
        self.task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look for what is due now."""
        self._wake.set()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Take no more deliveries; those that are being sent have a few ``seconds``, or are sent again some time."""
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
        except Exception:  # it is sent again when it is nobody's any more
            log.exception("outcome of a delivery not stored", delivery_id=delivery.id)

    async def _post(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """The status that the URL answers, if any, and what is wrong with that, if anything."""
        url = URL(delivery.webhook.url)
        body = delivery.payload.encode()
        try:
            # The body of the answer stays unread: nobody needs it, and it may have no end.
            async with self._sessions[url.scheme].post(
                url, data=body, headers=headers(delivery, int(time.time())), allow_redirects=False
            ) as response:
                status = response.status
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner is told
            return None, self._reason(error)
        if status == GONE:
            return status, "answered 410 Gone, so the webhook was disabled"
        return status, None if response.ok and status < web.HTTPMultipleChoices.status_code else f"answered {status}"

    def _reason(self, error: Exception) -> str:
        """Why there was no answer, in words that a database can hold and that quote nothing of what was received."""
        match error:
            case TimeoutError():
                return f"no answer within {self._settings.timeout:g} seconds"
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
