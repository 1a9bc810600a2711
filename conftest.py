"""Fixtures that the tests of several packages share."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from inspect import unwrap
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import pytest
import pytest_asyncio
from patience import PATIENCE

from jobbergate_applications import sandbox
from jobbergate_devkit.testing import fixtures as testing
from jobbergate_server.auth import oidc
from jobbergate_server.database import postgresql, sqlite
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.service import plugin
from jobbergate_server.settings_sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from joserfc.jwk import RSAKey

    from jobbergate_devkit.testing.served import Client, Served

FIXTURES = Path(__file__).parent / "tests/fixtures"


class Call(Protocol):
    """Sends a request as owner@example.com, or as another client; the status and the JSON of the answer."""

    async def __call__(self, method: str, path: str, client: Client | None = None, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's
        """``options`` are those of an aiohttp client, such as ``json`` and ``params``."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, as a third of the time goes into waiting for processes of the tests."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def patient_server() -> Iterator[None]:
    """Let servers in this process wait for as long as the tests do: a busy machine may hold up what they ask for.

    A test of such a limit sets its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oidc, "REQUEST_TIMEOUT", aiohttp.ClientTimeout(total=PATIENCE))
        patch.setattr(sandbox, "WALL_SECONDS", PATIENCE)
        patch.setattr(postgresql, "WAIT_SECONDS", PATIENCE)
        patch.setattr(sqlite, "WAIT_SECONDS", PATIENCE)
        yield


@pytest.fixture
def call(api: Client) -> Call:
    async def call(method: str, path: str, client: Client | None = None, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - likewise
        response = await (client or api).request(method, path, **options)
        return response.status, await response.json() if response.content_type == "application/json" else None

    return call


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_server(
    template_url: str, server_url: str, issuer_key: RSAKey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """A server for all tests of a module, which rely on no row but those that they add.

    Such a module is marked with ``pytest.mark.asyncio(loop_scope="module")``, and has this as its fixture `served` and
    `shared_client` as its `api`.
    """
    folder = tmp_path_factory.mktemp("shared")
    database, server = asynccontextmanager(unwrap(testing.database_url)), asynccontextmanager(unwrap(testing.make_app))
    async with database(template_url, server_url, folder) as url, server(url, issuer_key, folder) as make:
        yield await make()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_client(shared_server: Served) -> Client:
    """A client of owner@example.com with all permissions."""
    return shared_server.client_as()


class Site:
    """A folder on Python's path, to which a test adds distributions with plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        slug: str,
        source: str = "",
        *,
        name: str | None = None,
        version: str = "1.0",
        requires: tuple[str, ...] = (),
    ) -> str:
        """Add the distribution ``name``, `site-<slug>` by default, and return the name of its module."""
        name = name or f"site-{slug}"
        module = name.replace("-", "_")
        (self.folder / f"{module}.py").write_text(f'"""The plugin {slug}."""\n' + dedent(source))
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in ("jobbergate-server", *requires)]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[jobbergate.plugins]\n{slug} = {module}\n")
        return module

    def file(self, module: str) -> Path:
        """The file of the module, as the messages name it."""
        return self.folder / f"{module}.py"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove the settings of the environment; a test sets its own."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Plugin]:
    """The plugins of a server that has the notebook of tests/fixtures, and the core's own pages."""
    monkeypatch.syspath_prepend(FIXTURES)
    return [
        Plugin("service", plugin, "jobbergate-server", "1.0"),
        Plugin("notebook", "notebook", "notebook", "1.0"),
    ]
