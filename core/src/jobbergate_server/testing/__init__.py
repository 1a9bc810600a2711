"""Fixtures for tests of plugins: a server with a fresh database, and clients with really signed tokens.

Installed as a pytest plugin. Every test that uses `api`, `make_app` or another fixture with a database runs on SQLite
and on PostgreSQL, unless it is marked with `pytest.mark.database("sqlite")` or `pytest.mark.database("postgresql")`.

``TestConformance = conformance("licences")`` tests what every plugin promises, on every route of that plugin.
"""

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from joserfc.jwk import RSAKey

from jobbergate_server.connections import Runner
from jobbergate_server.contributions import CONTRIBUTIONS, permission_names
from jobbergate_server.dev import ISSUER_PATH, build
from jobbergate_server.discovery import discover, select
from jobbergate_server.issuer import Issuer
from jobbergate_server.plugins import Plugin
from jobbergate_server.settings import Settings, load_settings
from jobbergate_server.testing.conformance import conformance
from jobbergate_server.testing.databases import (
    database_url,
    empty_database_url,
    postgres_url,
    pytest_configure,
    pytest_generate_tests,
    server_url,
    shared_directory,
    template_url,
)

__all__ = [
    "Client",
    "MakeApp",
    "Served",
    "api",
    "client_as",
    "conformance",
    "database_url",
    "empty_database_url",
    "issuer_key",
    "make_app",
    "postgres_url",
    "pytest_configure",
    "pytest_generate_tests",
    "served",
    "server_url",
    "shared_directory",
    "template_url",
]

Client = TestClient[web.Request, web.Application]


class MakeApp(Protocol):
    """Starts a server; see the fixture `make_app`."""

    def __call__(
        self,
        *,
        plugins: Iterable[str | Plugin] | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        samples: bool = False,
    ) -> Awaitable["Served"]:
        """Start it."""


class _Server(TestServer):
    """Serves as `jobbergate-server serve` does."""

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
        """The application that is served."""
        return self.server.app

    def token(self, *permissions: str, email: str | None = "owner@example.com", **claims: Any) -> str:  # noqa: ANN401 - claims are any JSON
        """A token for ``email`` with these permissions, or with all of them when none is named."""
        claims = {"client_id": "cluster", "permissions": permissions or self.permissions, **claims}
        return self.issuer.token(email=email, **claims)

    def client_as(self, *permissions: str, email: str | None = "owner@example.com", **claims: Any) -> Client:  # noqa: ANN401 - likewise
        """A client that sends `token` with every request."""
        return self.client({"Authorization": f"Bearer {self.token(*permissions, email=email, **claims)}"})

    def client(self, headers: dict[str, str] | None = None) -> Client:
        """A client without a token; ``headers`` go with every request."""
        client = TestClient(self.server, headers=headers)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close the clients and stop the server."""
        for client in self._clients:
            await client.close()
        await self.server.close()


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    """The key that the issuers of the tests sign with; making or reading one takes longer than most tests."""
    return RSAKey.generate_key()


@pytest.fixture
async def make_app(database_url: str, issuer_key: RSAKey, tmp_path: Path) -> AsyncIterator[MakeApp]:
    """Start a server with the plugins and settings that are named.

    An example: ``await make_app(plugins=["licences"], settings={"limits": {"max_page_size": 2}})``.

    ``plugins`` are slugs of installed plugins, which come with whatever they require, or instead descriptions of
    plugins that are not installed; all that are installed by default. ``settings`` are tables as in the settings file.
    ``samples`` adds the plugins' sample rows.
    """
    started: list[Served] = []

    async def make(
        *,
        plugins: Iterable[str | Plugin] | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        samples: bool = False,
    ) -> Served:
        # Ours from now on: a port that is only looked up may be another's by the time that it is needed.
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        tables: dict[str, Mapping[str, object]] = {
            "files": {"url": f"file:///{tmp_path}/files"},
            "database": {"url": database_url},
        }
        tables |= {name: {**tables.get(name, {}), **table} for name, table in (settings or {}).items()}
        try:
            read = _quiet(tables)
            issuer = Issuer(issuer_key, f"http://127.0.0.1:{port}{ISSUER_PATH}", read.oidc.permissions_claim)
            app = build(read, issuer, samples=samples, installed=_installed(plugins))
            server = _Server(app, socket_factory=lambda *_: sock)
            started.append(Served(server, issuer))
            await server.start_server()
        except BaseException:
            sock.close()
            raise
        return started[-1]

    yield make
    for served in started:
        await served.close()


@pytest.fixture
async def served(make_app: MakeApp) -> Served:
    """A server with default settings."""
    return await make_app()


@pytest.fixture
def client_as(served: Served) -> Callable[..., Client]:
    """Make a client of `served` with the permissions that are named: ``client_as("jobbergate:licences:view")``."""
    return served.client_as


@pytest.fixture
async def api(served: Served) -> Client:
    """A client of owner@example.com with all permissions."""
    return served.client_as()


def _quiet(tables: Mapping[str, Mapping[str, object]]) -> Settings:
    return load_settings(None, **{"log": {"level": "WARNING"}, **tables})


def _installed(plugins: Iterable[str | Plugin] | None) -> list[Plugin]:
    # Packages are added while tests run, which changes the folder that they are added to.
    folders = [Path(entry) for entry in sys.path]
    found = _discovered(tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()))
    if plugins is None:
        return [replace(plugin) for plugin in found]
    plugins = list(plugins)
    slugs = [plugin for plugin in plugins if isinstance(plugin, str)]
    described = [plugin for plugin in plugins if isinstance(plugin, Plugin)]
    return [*(select([replace(plugin) for plugin in found], slugs) if slugs else []), *described]


@lru_cache(maxsize=1)
def _discovered(_: tuple[tuple[Path, int], ...]) -> list[Plugin]:
    """What is installed in these folders, each as it was when it last changed; looking takes longer than most tests."""
    return discover()
