"""What the tests of all routes share."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import pytest
import pytest_asyncio
from patience import PATIENCE

from jobbergate_applications import sandbox
from jobbergate_devkit.testing import fixtures as testing
from jobbergate_server.auth import oidc
from jobbergate_server.database import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from joserfc.jwk import RSAKey

    from jobbergate_devkit.testing.served import Client, Served


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
        patch.setattr(oidc, "TIMEOUT", aiohttp.ClientTimeout(total=PATIENCE))
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
