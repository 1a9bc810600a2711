"""A server under test, and its clients."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Protocol

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from jobbergate_devkit.issuer import Issuer
from jobbergate_server import DATABASE, EventRecord
from jobbergate_server.database.event_log import cursor
from jobbergate_server.plugins.contribution import CONTRIBUTIONS, permission_names
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import PLUGINS
from jobbergate_server.serving.connections import Runner

REACTION_SECONDS = 60
"""Seconds that reactions to events may take on a busy machine."""

Client = TestClient[web.Request, web.Application]


class MakeApp(Protocol):
    """The type of the fixture `make_app`."""

    def __call__(
        self,
        *,
        plugins: Iterable[str | Plugin] | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        samples: bool = False,
    ) -> Awaitable["Served"]:
        """Start a server."""


class Server(TestServer):
    """A test server with the connections of `jobbergate-server serve`."""

    async def _make_runner(self, **options: Any) -> web.AppRunner:  # noqa: ANN401 - aiohttp's
        return Runner(self.app, **options)


class Served:
    """A server under test: its issuer, and clients for it."""

    def __init__(self, server: TestServer, issuer: Issuer) -> None:
        self.server = server
        self.issuer = issuer
        contributions = server.app[CONTRIBUTIONS]
        self.permissions = permission_names(contributions)
        self._clients: list[Client] = []

    @property
    def app(self) -> web.Application:
        """The application of the server."""
        return self.server.app

    def token(self, *permissions: str, email: str | None = "owner@example.com", **claims: Any) -> str:  # noqa: ANN401 - claims are any JSON
        """Return a token for ``email`` with these permissions, or by default with all permissions."""
        claims = {"client_id": "cluster", "permissions": permissions or self.permissions, **claims}
        return self.issuer.token(email=email, **claims)

    def client_as(self, *permissions: str, email: str | None = "owner@example.com", **claims: Any) -> Client:  # noqa: ANN401 - likewise
        """Return a client that sends `token` with every request."""
        return self.client({"Authorization": f"Bearer {self.token(*permissions, email=email, **claims)}"})

    def client(self, headers: dict[str, str] | None = None) -> Client:
        """Return a client without a token, which sends ``headers`` with every request."""
        client = TestClient(self.server, headers=headers)
        self._clients.append(client)
        return client

    async def reactions(self) -> None:
        """Wait until the plugins have reacted to every committed event.

        Raises:
            TimeoutError: A reaction has not ended after `REACTION_SECONDS`.
        """
        plugins, database = self.app[PLUGINS], self.app[DATABASE]
        slugs = [it.slug for it in plugins.active if plugins.implements(it, "on_event")]
        with database.bound():
            last = await EventRecord.all().order_by("-transaction_id", "-id").first()
            async with asyncio.timeout(REACTION_SECONDS):
                while last and any([await cursor(slug) < (last.transaction_id, last.id) for slug in slugs]):  # noqa: ASYNC110 - another process may lead
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Close the clients and stop the server."""
        for client in self._clients:
            await client.close()
        await self.server.close()
