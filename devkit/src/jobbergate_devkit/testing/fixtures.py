"""Fixtures for tests of plugins: a server with an empty database, and clients with signed tokens.

Installed as a pytest plugin. Every test that uses `api`, `make_app` or another fixture with a database runs on SQLite
and on PostgreSQL, unless it is marked with `pytest.mark.database("sqlite")` or `pytest.mark.database("postgresql")`.
"""

import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.server import ISSUER_PATH, build
from jobbergate_devkit.testing.databases import (
    database_url,
    empty_database_url,
    postgres_url,
    pytest_configure,
    pytest_generate_tests,
    server_url,
    shared_directory,
    template_url,
)
from jobbergate_devkit.testing.served import Client, MakeApp, Served, Server
from jobbergate_server.plugins.discovery import CORE, discover, select
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.settings import Settings, load_settings

__all__ = [
    "api",
    "client_as",
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


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    """Return the signing key of all issuers of the tests; creating one takes longer than most tests."""
    return RSAKey.generate_key()


@pytest.fixture
async def make_app(database_url: str, issuer_key: RSAKey, tmp_path: Path) -> AsyncIterator[MakeApp]:
    """Start a server with the given plugins and settings.

    An example: ``await make_app(plugins=["licences"], settings={"limits": {"max_page_size": 2}})``.

    ``plugins`` are slugs of installed plugins, which also load their requirements, or `Plugin` descriptions of plugins
    that are not installed. The default is all installed plugins. ``settings`` are tables as in the settings file.
    ``samples`` adds the plugins' sample rows.
    """
    started: list[Served] = []

    async def make(
        *,
        plugins: Iterable[str | Plugin] | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        samples: bool = False,
    ) -> Served:
        # The bound socket reserves the port, which another process could otherwise take before the start.
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
            server = Server(app, socket_factory=lambda *_: sock)
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
    """Start a server with default settings."""
    return await make_app()


@pytest.fixture
def client_as(served: Served) -> Callable[..., Client]:
    """Return a factory of clients with given permissions: ``client_as("jobbergate:licences:view")``."""
    return served.client_as


@pytest.fixture
async def api(served: Served) -> Client:
    """Return a client of owner@example.com with all permissions."""
    return served.client_as()


def _quiet(tables: Mapping[str, Mapping[str, object]]) -> Settings:
    return load_settings(None, **{"log": {"level": "WARNING"}, **tables})


def _installed(plugins: Iterable[str | Plugin] | None) -> list[Plugin]:
    # A package that a test adds changes the modification time of its folder.
    folders = [Path(entry) for entry in sys.path]
    found = _discovered(tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()))
    if plugins is None:
        return [replace(plugin) for plugin in found]
    plugins = list(plugins)
    slugs = [plugin for plugin in plugins if isinstance(plugin, str)]
    described = [plugin for plugin in plugins if isinstance(plugin, Plugin)]
    # Every plugin requires the server, and loads the server's own plugin.
    chosen = select([replace(plugin) for plugin in found], slugs) if slugs else []
    own = [] if chosen else [replace(plugin) for plugin in found if plugin.distribution == CORE]
    known = {plugin.slug for plugin in described}
    return [*(plugin for plugin in (*own, *chosen) if plugin.slug not in known), *described]


@lru_cache(maxsize=1)
def _discovered(_: tuple[tuple[Path, int], ...]) -> list[Plugin]:
    """Return the plugins installed in these folders; a discovery takes longer than most tests."""
    return discover()
