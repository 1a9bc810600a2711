"""Several replicas, set up as the page about them says: what they share, and what is left of one that is cut off."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tomllib
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import asyncpg
import pytest
from aiohttp import ClientSession, FormData
from pages import DOCS, of
from ports import unused_port
from processes import answers, developing, origin, running

from jobbergate_devkit.issuer import Issuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from processes import Server

pytestmark = pytest.mark.database("postgresql")

PAGE = DOCS / "howto/replicas.md"
SETTINGS = of(PAGE, "toml")[0].text


class Replica(NamedTuple):
    """A server with the settings of the page, and where it serves."""

    server: Server
    origin: str

    @property
    def scripts(self) -> str:
        """The URL of the job scripts."""
        return f"{self.origin}/jobbergate/job-scripts"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """An issuer of tokens, which another server serves."""
    folder = tmp_path_factory.mktemp("provider")
    with developing(folder) as server:
        issuer = Issuer.load(folder / "var/issuer")
        assert issuer.url == f"{origin(server)}/oidc"
        yield issuer


@pytest.fixture
def replicas(provider: Issuer, empty_database_url: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two replicas that were started at once, on an empty database."""
    given = tomllib.loads(SETTINGS)
    config = SETTINGS
    for placeholder, real in {
        given["database"]["url"]: empty_database_url,
        given["files"]["url"]: f"file:///{tmp_path}/files",
        given["oidc"]["issuer"]: provider.url,
        given["server"]["host"]: "127.0.0.1",
    }.items():
        config = config.replace(placeholder, real)
    (tmp_path / "jobbergate.toml").write_text(config)
    ports = [unused_port() for _ in range(2)]
    with ExitStack() as stack:
        started = []
        for port in ports:
            arguments = ("serve", "--config", str(tmp_path / "jobbergate.toml"), "--port", str(port))
            folder = tmp_path / f"replica-{port}"
            folder.mkdir()
            server = stack.enter_context(running(folder, *arguments))
            started.append(Replica(server, f"http://127.0.0.1:{port}"))
        for replica in started:
            replica.server.wait_for(partial(answers, replica.origin))
        yield started


@pytest.fixture
async def session(provider: Issuer) -> AsyncIterator[ClientSession]:
    """Somebody with every permission of job scripts, for each replica."""
    permissions = ["jobbergate:job-scripts:view", "jobbergate:job-scripts:edit"]
    audience = tomllib.loads(SETTINGS)["oidc"]["audience"]
    token = provider.token(email="owner@example.com", permissions=permissions, aud=audience)
    headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
    async with ClientSession(headers=headers, raise_for_status=True) as session:
        yield session


async def added(session: ClientSession, replica: Replica, other: Replica) -> int:
    """The id of a new job script, whose file is uploaded to the other replica."""
    async with session.post(replica.scripts, json={"job_script_name": "first"}) as response:
        number: int = (await response.json())["id"]
    form = FormData()
    form.add_field("job_script_file", b"#!/bin/sh\n", filename="a.sh", content_type="text/plain")
    async with session.post(f"{other.scripts}/{number}/upload", data=form):
        return number


async def name(session: ClientSession, replica: Replica, number: int) -> str:
    """The name of the job script, as the replica has it."""
    async with session.get(f"{replica.scripts}/{number}") as response:
        found: str = (await response.json())["job_script_name"]
        return found


async def renamed(session: ClientSession, replica: Replica, number: int, to: str) -> None:
    async with session.put(f"{replica.scripts}/{number}", json={"job_script_name": to}):
        pass


@asynccontextmanager
async def held_up(url: str, session: ClientSession, replica: Replica, number: int) -> AsyncIterator[asyncio.Task[None]]:
    """A request that changes the job script and waits in its transaction for a row that somebody has locked."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM job_scripts WHERE id = $1 FOR UPDATE", number)
            task = asyncio.create_task(renamed(session, replica, number, "changed"))
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while not await connection.fetchval(waiting):
                assert not task.done()
                await asyncio.sleep(0.01)
            yield task
    finally:
        await connection.close()


async def test_replicas_that_start_at_once_on_an_empty_database_serve_the_same(
    replicas: list[Replica], session: ClientSession
) -> None:
    logs = "".join(replica.server.log for replica in replicas)
    applied = re.findall(r"migration applied +migration=(\S+)", logs)
    assert "job_scripts.0001_initial" in applied
    assert len(applied) == len(set(applied))

    first, second = replicas
    number = await added(session, first, second)
    async with session.get(f"{first.scripts}/{number}") as response:
        assert (await response.json())["job_script_files"]["files"] == {"a.sh": "#!/bin/sh\n"}
    await renamed(session, first, number, "changed")
    assert await name(session, second, number) == "changed"


async def test_a_replica_that_is_killed_leaves_nothing_half_done(
    replicas: list[Replica], session: ClientSession, empty_database_url: str
) -> None:
    killed, other = replicas
    number = await added(session, killed, other)
    async with held_up(empty_database_url, session, killed, number) as task:
        os.killpg(killed.server.process.pid, signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await task
    await renamed(session, other, number, "kept")
    assert await name(session, other, number) == "kept"


async def test_a_replica_that_is_stopped_ends_its_requests_and_takes_no_others(
    replicas: list[Replica], session: ClientSession, empty_database_url: str
) -> None:
    stopped, other = replicas
    number = await added(session, stopped, other)
    async with held_up(empty_database_url, session, stopped, number) as task:
        stopped.server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(stopped.server.wait_for, lambda: not answers(stopped.origin))
        with pytest.raises(aiohttp.ClientConnectorError, match="Connect"):
            await name(session, stopped, number)
        assert not task.done()
    await task
    assert await asyncio.to_thread(stopped.server.process.wait, 30) == 0
    assert await name(session, other, number) == "changed"


def test_the_connections_of_the_page_are_those_of_its_settings() -> None:
    given = tomllib.loads(SETTINGS)
    number = re.search(r"Three replicas with the settings above open (\d+) at most", PAGE.read_text())
    assert number is not None
    assert int(number[1]) == 3 * given["database"]["pool_size"] * given["server"]["workers"]
