"""What the server answers while something that it needs is away, and that it goes on when that is back."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import sqlite3
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiohttp import FormData
from line import Line, line
from patience import PATIENCE

from jobbergate_server import DATABASE, Unavailable, files
from jobbergate_server.database import connection, postgresql, sqlite
from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientResponse

    from jobbergate_devkit.testing import Client, MakeApp, Served

SCRIPTS = "/jobbergate/job-scripts"
ARCHIVE = "UPDATE job_scripts SET is_archived = true WHERE id = $1"
IN_TRANSACTION = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
AWAY = {"detail": "The database is unavailable. Retry the request."}
NO_FILES = {"detail": "The file store is unavailable. Retry the request."}
BUSY = {
    "postgresql": {"detail": "All connections to the database are in use. Retry the request."},
    "sqlite": {"detail": "The database is locked by another transaction. Retry the request."},
}


async def added(client: Client) -> tuple[int, dict[str, Any], str | None]:
    """Add a job script: the status, the answer, and after how long to try again."""
    async with client.post(SCRIPTS, json={"job_script_name": "a"}) as response:
        return await told(response)


async def told(response: ClientResponse) -> tuple[int, dict[str, Any], str | None]:
    return response.status, await response.json(), response.headers.get("Retry-After")


async def total(client: Client) -> int:
    async with client.get(SCRIPTS) as response:
        found: int = (await response.json())["pagination"]["total"]
        return found


@pytest.fixture
async def way(database_url: str, dialect: str) -> AsyncIterator[Line | None]:
    """The line to PostgreSQL."""
    if dialect == "sqlite":
        yield None
        return
    async with line(database_url) as it:
        yield it


@pytest.fixture
async def served(make_app: MakeApp, way: Line | None, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A server with one connection that waits for it only for a moment."""
    monkeypatch.setattr(postgresql, "WAIT_SECONDS", 2)
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(connection, "SQLITE_BUSY_MILLISECONDS", 100)
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", 3)
    return await make_app(settings={"database": {"url": way.url if way else database_url, "pool_size": 1}})


@pytest.fixture
async def client(served: Served) -> Client:
    return served.client_as()


async def test_who_waits_too_long_for_a_connection_is_asked_to_come_again(
    served: Served, client: Client, dialect: str
) -> None:
    held = served.app[DATABASE]
    with held.bound():
        async with held.transaction():
            await held.ping()
            answers = await asyncio.gather(*(added(client) for _ in range(5)))
    assert answers == [(503, BUSY[dialect], "1")] * 5
    assert (await added(client))[0] == 201
    assert await total(client) == 1


@pytest.mark.database("sqlite")
async def test_another_process_that_writes_for_too_long_is_no_mistake_of_the_server(
    client: Client, database_url: str
) -> None:
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert await added(client) == (503, BUSY["sqlite"], "1")
        assert await total(client) == 0
        other.execute("COMMIT")
    finally:
        other.close()
    assert (await added(client))[0] == 201


@pytest.mark.database("postgresql")
async def test_requests_are_served_again_as_soon_as_the_database_is_back(client: Client, way: Line) -> None:
    assert (await added(client))[0] == 201
    async with way.cut():
        assert await asyncio.gather(*(added(client) for _ in range(5))) == [(503, AWAY, "1")] * 5
        async with client.get(SCRIPTS) as response:
            assert await told(response) == (503, AWAY, "1")
        async with client.get("/jobbergate/health") as response:
            assert response.status == 204
    assert (await added(client))[0] == 201
    assert await total(client) == 2


@pytest.mark.database("postgresql")
async def test_what_looks_for_work_again_and_again_says_in_a_line_that_the_database_is_away(
    make_app: MakeApp, way: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    retries = {"plugins": {"webhooks": {"retry_after": [0.05]}}}
    served = await make_app(settings={"database": {"url": way.url}, **retries})
    printed = ""
    async with way.cut():
        while "deliveries not read" not in printed:
            assert (await added(served.client_as()))[0] == 503
            printed += capsys.readouterr().out
    assert re.search(rf"warning .*deliveries not read +reason='{AWAY['detail']}'", printed)
    assert "Traceback" not in printed


@pytest.mark.database("postgresql")
async def test_a_statement_that_takes_too_long_holds_nobody_up(served: Served, client: Client, way: Line) -> None:
    assert (await added(client))[0] == 201
    await served.reactions()  # which need connections, too
    slow = {"detail": "The database did not respond in time. Retry the request."}
    async with way.stalled():
        async with client.put(f"{SCRIPTS}/1", json={"job_script_name": "b"}) as response:
            assert await told(response) == (503, slow, "1")
        async with client.get(SCRIPTS) as response:  # which needs another connection
            assert await told(response) == (503, AWAY, "1")
    async with client.get(SCRIPTS) as response:
        assert [row["job_script_name"] for row in (await response.json())["results"]] == ["a"]


@pytest.mark.database("postgresql")
async def test_a_database_that_says_nothing_does_not_hold_up_the_end(
    served: Served, client: Client, way: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "CLOSE_SECONDS", 0.1)
    assert (await added(client))[0] == 201
    async with way.stalled(), asyncio.timeout(PATIENCE):
        await served.close()


@pytest.mark.database("postgresql")
async def test_who_is_cut_off_in_a_transaction_does_not_keep_its_locks(
    make_app: MakeApp, way: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(connection, "STATEMENT_SECONDS", 1)
        away = await make_app(settings={"database": {"url": way.url}})
    there = await make_app()
    assert (await added(there.client_as()))[0] == 201
    locking, begun = away.app[DATABASE], asyncio.Event()

    async def lock() -> None:
        async with locking.transaction():
            await locking.client.execute_query(ARCHIVE, [1])
            begun.set()
            await asyncio.Event().wait()

    with locking.bound():
        locked = asyncio.create_task(lock())
        await begun.wait()
    async with way.stalled(), there.client_as().delete(f"{SCRIPTS}/1") as response:
        assert response.status == 204
    locked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await locked


@pytest.mark.database("postgresql")
async def test_a_command_may_think_in_a_transaction_for_as_long_as_it_likes(served: Served, database_url: str) -> None:
    async def allowed(connected: connection.Database) -> str:
        with connected.bound():
            (row,) = await connected.client.execute_query_dict("SHOW idle_in_transaction_session_timeout")
            return str(row["idle_in_transaction_session_timeout"])

    async with Installation.of(load_settings(database={"url": database_url})).connected() as of_command:
        assert await allowed(of_command) == "0"
    assert await allowed(served.app[DATABASE]) == "3s"


@pytest.mark.database("postgresql")
async def test_who_is_cancelled_stays_cancelled_when_the_connection_is_lost(
    served: Served, way: Line, database_url: str
) -> None:
    lost, begun = served.app[DATABASE], asyncio.Event()

    async def hold() -> None:
        async with lost.transaction():
            await lost.client.execute_query("SET LOCAL idle_in_transaction_session_timeout = '500ms'")
            begun.set()
            await asyncio.Event().wait()

    with lost.bound():
        held = asyncio.create_task(hold())
        await begun.wait()
    async with way.stalled():
        connection = await asyncpg.connect(database_url)
        try:
            while await connection.fetchval(IN_TRANSACTION):
                await connection.execute("SELECT pg_stat_clear_snapshot()")
        finally:
            await connection.close()
    held.cancel()  # before anybody here has heard that the connection is gone
    with pytest.raises(asyncio.CancelledError):
        await held


@pytest.mark.database("postgresql")
async def test_a_connection_that_is_lost_in_a_transaction_takes_it_along(served: Served, way: Line) -> None:
    lost = served.app[DATABASE]

    async def transact(*, ask_again: bool) -> None:
        async with lost.transaction():
            await lost.ping()
            async with way.cut():
                if ask_again:
                    await lost.ping()

    with lost.bound():
        for ask_again in (True, False):
            with pytest.raises(Unavailable) as error:
                await transact(ask_again=ask_again)
            assert error.value.detail == AWAY["detail"]
            async with lost.transaction():
                await lost.ping()


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in a part of a transaction"])
async def test_of_two_who_wait_for_each_other_one_is_asked_to_come_again(make_app: MakeApp, *, nested: bool) -> None:
    served = await make_app()
    for _ in range(2):
        assert (await added(served.client_as()))[0] == 201
    shared, both = served.app[DATABASE], asyncio.Barrier(2)

    async def cross(first: int, second: int) -> None:
        async with shared.transaction():
            await shared.client.execute_query("SET LOCAL deadlock_timeout = '10ms'")
            await shared.client.execute_query(ARCHIVE, [first])
            await both.wait()
            async with shared.transaction() if nested else nullcontext():
                await shared.client.execute_query(ARCHIVE, [second])

    with shared.bound():
        ends = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
    message = "Another request changed the same data concurrently. Retry the request."
    assert [str(end) for end in ends if end] == [message]
    assert [end.status for end in ends if isinstance(end, Unavailable)] == [503]


def upload() -> FormData:
    form = FormData()
    form.add_field("job_script_file", b"#!/bin/sh\n", filename="a.sh", content_type="text/plain")
    return form


async def test_without_a_file_store_what_needs_no_file_goes_on(client: Client, tmp_path: Path) -> None:
    assert (await added(client))[0] == 201
    folder = tmp_path / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("not a directory")
    async with client.post(f"{SCRIPTS}/1/upload", data=upload()) as response:
        assert await told(response) == (503, NO_FILES, "1")
    async with client.get(f"{SCRIPTS}/1") as response:
        assert response.status == 404  # it has got no file
    assert (await added(client))[0] == 201
    assert await total(client) == 2
    folder.unlink()
    async with client.post(f"{SCRIPTS}/1/upload", data=upload()) as response:
        assert response.status == 200


async def test_a_bucket_that_never_answers_holds_nobody_up(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "REQUEST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setenv(name, "any")
        client = (await make_app(settings={"files": {"url": "s3://bucket"}})).client_as()
        assert (await added(client))[0] == 201
        async with client.post(f"{SCRIPTS}/1/upload", data=upload()) as response:
            assert await told(response) == (503, NO_FILES, "1")
