"""One transaction a writing request: committed before the answer, or rolled back."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from patience import PATIENCE
from tortoise.exceptions import OperationalError

from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp
    from jobbergate_server.database.connection import Database
    from jobbergate_server.plugins.plugin import Plugin

WRITER = Path(__file__).parents[2] / "fixtures" / "writer.py"
NOTES = "/jobbergate/notebook"


@pytest.fixture
async def client(make_app: MakeApp, notebook: list[Plugin]) -> Client:
    return (await make_app(plugins=notebook, settings={"log": {"level": "CRITICAL"}})).client_as()


def connectable(url: str) -> Database:
    """The database of the bundled plugins, with one connection only."""
    return Installation.of(load_settings(None, database={"url": url, "pool_size": 1})).database()


async def transact(database: Database) -> None:
    with database.bound():
        async with database.transaction():
            await database.ping()


async def notes(client: Client) -> list[str]:
    answer: list[str] = await (await client.get(NOTES)).json()
    return answer


async def added(client: Client, text: str, status: int = 201) -> int:
    async with client.post(NOTES, params={"text": text, "status": status}) as response:
        return response.status


async def test_what_a_handler_wrote_is_there_when_the_answer_is(client: Client) -> None:
    assert await added(client, "first") == 201
    assert await notes(client) == ["first"]


async def test_an_error_answer_rolls_back(client: Client) -> None:
    for status in (400, 409, 422, 500):
        assert await added(client, "never seen", status) == status
    assert await added(client, "seen", 303) == 303
    assert await notes(client) == ["seen"]


async def test_a_handler_that_raises_rolls_back(client: Client) -> None:
    for error, status in {"conflict": 409, "missing": 404, "mistake": 500}.items():
        async with client.post(f"{NOTES}/raise/{error}") as response:
            assert response.status == status
    assert await notes(client) == []


async def test_a_row_that_contradicts_another_one_is_a_conflict(client: Client) -> None:
    async with client.post(f"{NOTES}/twice") as response:
        assert response.status == 409
        assert await response.json() == {"detail": "The request conflicts with an existing record."}
    assert await notes(client) == []


async def test_what_cannot_be_committed_is_no_success(client: Client) -> None:
    for _ in range(7):
        async with client.post(f"{NOTES}/break") as response:
            assert response.status == 500
            assert await response.json() == {"detail": "Internal Server Error"}
    assert await added(client, "afterwards") == 201
    assert await notes(client) == ["afterwards"]


async def test_only_writing_methods_have_a_transaction(client: Client) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        async with client.request(method, f"{NOTES}/transaction") as response:
            assert await response.json() == {"transaction": method != "GET"}


async def test_writers_of_one_process_wait_for_each_other(client: Client) -> None:
    statuses = await asyncio.gather(*(added(client, str(number)) for number in range(20)))
    assert statuses == [201] * 20
    assert sorted(await notes(client), key=int) == [str(number) for number in range(20)]


async def test_a_transaction_that_is_cancelled_gives_its_connection_back(database_url: str) -> None:
    database = connectable(database_url)

    async with database.connected():
        await transact(database)
        for steps in range(30):
            task = asyncio.create_task(transact(database))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.wait_for(transact(database), PATIENCE)


async def test_a_connection_goes_to_those_who_wait_in_the_order_in_which_they_came(database_url: str) -> None:
    database = connectable(database_url)
    asked: list[int] = []
    given: list[int] = []

    async def come(steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        with database.bound():
            asked.append(steps)
            async with database.transaction():
                given.append(steps)
                await database.ping()

    async with database.connected():
        await come(0)
        await asyncio.gather(*map(come, range(200)))
    assert given == asked


async def test_who_gives_up_waiting_for_a_connection_keeps_none(database_url: str) -> None:
    database = connectable(database_url)

    async with database.connected():
        await transact(database)
        for steps in range(40):
            tasks = [asyncio.create_task(transact(database)) for _ in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks[1].cancel()
            ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
            assert [type(end) for end in ends if end is not None] in ([], [asyncio.CancelledError])


async def test_a_connection_on_which_a_statement_failed_is_given_to_others_sound(database_url: str) -> None:
    database = connectable(database_url)

    async def fail(*, inside: bool) -> None:
        with database.bound(), suppress(OperationalError):
            async with database.transaction() if inside else nullcontext():
                await database.client.execute_query("SELECT * FROM nothing_like_that")

    async with database.connected():
        work = (
            fail(inside=True),
            transact(database),
            fail(inside=False),
            transact(database),
            fail(inside=True),
            database.ping(),
        )
        await asyncio.wait_for(asyncio.gather(*work), PATIENCE)


async def test_a_part_that_is_undone_undoes_nothing_else(database_url: str) -> None:
    database = connectable(database_url)
    async with database.connected():
        await database.client.execute_script("CREATE TABLE things (name TEXT)")
        with database.bound():
            async with database.transaction():
                with suppress(RuntimeError):
                    async with database.transaction():  # before anything else is asked of the transaction
                        await database.client.execute_query("INSERT INTO things VALUES ('undone')")
                        raise RuntimeError
                await database.client.execute_query("INSERT INTO things VALUES ('done')")
        rows = await database.client.execute_query_dict("SELECT name FROM things")
    assert [dict(row) for row in rows] == [{"name": "done"}]


@pytest.mark.database("postgresql")
async def test_a_transaction_holds_no_connection_before_its_first_statement(database_url: str) -> None:
    database = connectable(database_url)
    async with database.connected():
        with database.bound():
            async with database.transaction():
                await asyncio.wait_for(asyncio.create_task(_ping(database)), PATIENCE)


async def _ping(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        await database.ping()


async def test_writers_of_two_processes_wait_for_each_other(database_url: str) -> None:
    times = 20
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(WRITER),
            database_url,
            str(times),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"ready\n"
    ends = await asyncio.gather(*(writer.communicate(b"start\n") for writer in writers))
    assert [(writer.returncode, error.decode()) for writer, (_, error) in zip(writers, ends, strict=True)] == [
        (0, "")
    ] * 2

    database = connectable(database_url)
    async with database.connected():
        rows = await database.client.execute_query_dict("SELECT count(*) AS rows FROM applications")
    assert dict(rows[0]) == {"rows": 2 * times}
