"""`/health` says that the process is alive, `/ready` whether it can serve, and why not."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from patience import PATIENCE
from ports import unused_port

from jobbergate_server.app import create_app
from jobbergate_server.http.keys import DATABASE
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import Client, Served

pytestmark = pytest.mark.usefixtures("clean_environment")

OK = {"database": "ok", "schema": "ok", "issuer": "ok", "files": "ok", "webhooks": "ok"}


async def state(client: Client) -> tuple[int, dict[str, Any]]:
    async with client.get("/jobbergate/ready") as response:
        answer: dict[str, Any] = await response.json()
        assert answer["ready"] is (response.status == 200)
        assert answer["degraded"] is False
        return response.status, answer["checks"]


async def is_alive(client: Client) -> bool:
    async with client.get("/jobbergate/health") as response:
        return response.status == 204 and await response.read() == b""


async def test_a_server_with_all_its_parts_is_ready(served: Served) -> None:
    client = served.client()
    assert await is_alive(client)
    assert await state(client) == (200, OK)


async def test_many_who_ask_at_once_do_not_disturb_each_other(served: Served) -> None:
    client = served.client()
    assert await asyncio.gather(*(state(client) for _ in range(20))) == [(200, OK)] * 20


@pytest.fixture
async def lonely(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server whose provider is away."""
    settings = load_settings(
        None,
        database={"url": database_url},
        oidc={"issuer": f"http://127.0.0.1:{unused_port()}/oidc"},
        files={"url": f"file:///{tmp_path}/files"},
    )
    async with TestClient(TestServer(create_app(settings))) as client:
        yield client


async def test_a_server_starts_without_its_provider_and_says_so(lonely: Client) -> None:
    assert await is_alive(lonely)
    status, checks = await state(lonely)
    assert status == 503
    assert checks["issuer"].startswith("ClientConnectorError: Cannot connect to host 127.0.0.1:")
    assert {**checks, "issuer": "ok"} == OK


async def test_a_server_becomes_ready_when_its_provider_comes(database_url: str, tmp_path: Path) -> None:
    port = unused_port()
    issuer = f"http://127.0.0.1:{port}/oidc"
    provider = web.Application()

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response({"issuer": issuer, "jwks_uri": f"{issuer}/jwks"})

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "A" * 43}]})

    provider.add_routes([web.get("/oidc/.well-known/openid-configuration", discovery), web.get("/oidc/jwks", keys)])
    settings = load_settings(
        None, database={"url": database_url}, oidc={"issuer": issuer}, files={"url": f"file:///{tmp_path}/files"}
    )
    async with TestClient(TestServer(create_app(settings))) as client:
        assert (await state(client))[0] == 503
        async with TestServer(provider, port=port), asyncio.timeout(PATIENCE):
            while (await state(client))[0] == 503:  # noqa: ASYNC110 - there is nothing else that tells
                await asyncio.sleep(0.1)
        assert await state(client) == (200, OK)


async def test_a_file_store_that_takes_nothing_is_named(served: Served, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "files", ignore_errors=True)
    (tmp_path / "files").write_text("not a directory")
    client = served.client()
    assert await is_alive(client)
    status, checks = await state(client)
    assert status == 503
    assert checks.pop("files").startswith("not writable (")
    assert checks == {name: "ok" for name in OK if name != "files"}


async def test_a_database_that_went_away_is_named(served: Served, database_url: str) -> None:
    client = served.client()
    assert await state(client) == (200, OK)
    await take_away(served, database_url)
    assert await is_alive(client)
    status, checks = await state(client)
    assert status == 503
    assert checks["database"].startswith("not reachable (")
    assert {**checks, "database": "ok"} == {**OK, "schema": "not known without a database"}


async def take_away(served: Served, url: str) -> None:
    if served.app[DATABASE].is_sqlite:
        await served.app[DATABASE].client.close()
        replace_by_directory(Path(url.removeprefix("sqlite:///")))
        return
    parts = urlsplit(url)
    connection = await asyncpg.connect(parts._replace(path="/postgres").geturl())
    await connection.execute(f'ALTER DATABASE "{parts.path.lstrip("/")}" ALLOW_CONNECTIONS false')
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    await connection.fetch(query, parts.path.lstrip("/"))
    await connection.close()


def replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()
