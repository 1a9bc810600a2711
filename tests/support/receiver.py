"""A program that webhooks lead to: a real HTTP server on loopback, which checks what it gets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = "127.0.0.0/8"
TOLERANCE = 300


@dataclass(frozen=True, slots=True)
class Message:
    """What was posted, byte by byte."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """What tells it from others."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The payload, after the checks that the specification of Standard Webhooks asks of a receiver."""
        kind, _, key = secret.partition("_")
        timestamp = self.headers["webhook-timestamp"]
        signed = b".".join([self.id.encode(), timestamp.encode(), self.body])
        digest = hmac.new(base64.b64decode(key, validate=True), signed, hashlib.sha256).digest()
        versions = [signature.split(",") for signature in self.headers["webhook-signature"].split(" ")]
        assert kind == "whsec"
        assert ["v1", base64.b64encode(digest).decode()] in versions
        assert abs(time.time() - int(timestamp)) < TOLERANCE
        payload: dict[str, Any] = json.loads(self.body)
        return payload


class Receiver:
    """Keeps what is posted to it, and answers with ``statuses`` one after the other, the last of them from then on."""

    def __init__(self, *statuses: int) -> None:
        self.port = 0
        self.messages: list[Message] = []
        self.statuses = list(statuses or (204,))
        self.answer: Answer | None = None
        """What answers instead, if anything."""
        self._news = asyncio.Condition()

    def url(self, path: str = "/hook") -> str:
        """The address of the server, with which every path leads to it."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take what was posted."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.messages.append(Message(request.path, headers, await request.read()))
        async with self._news:
            self._news.notify_all()
        if self.answer:
            return await self.answer(request)
        return web.Response(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    async def got(self, count: int) -> list[Message]:
        """What has come, as soon as there are as many."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.messages) >= count)
        return list(self.messages)


@asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(*statuses)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        receiver.port = server.port or 0
        yield receiver
