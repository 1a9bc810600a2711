"""Events are written with their cause, and read in the order of commits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest
from patience import PATIENCE

from jobbergate_server import DATABASE, Event, emit
from jobbergate_server.database.event_log import Position, end, read
from jobbergate_server.database.models import EventRecord
from jobbergate_server.events import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import Served
    from jobbergate_server.database.connection import Database
    from jobbergate_server.database.event_log import Entry

ORIGIN = Origin("7f1c", "owner@example.com", "cli", "r1")
FIRST = Position(0, 0)
INSERT = """
INSERT INTO events (transaction_id, created_at, type, data)
VALUES (pg_current_xact_id()::text::bigint, now(), 'late', '{}')
"""


async def commit(database: Database, *names: str) -> None:
    with database.bound(ORIGIN):
        async with database.transaction():
            for name in names:
                emit(Event(name, {"id": 5, "owner_email": "owner@example.com", "client_id": "cluster", "text": "é"}))


async def entries(database: Database, count: int, after: Position = FIRST) -> list[Entry]:
    """Return the first entries once there are so many: other databases of the server have transactions, too."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await read(database.fetch, after, count, is_sqlite=database.is_sqlite)) < count:  # noqa: ASYNC110 - other transactions end
            await asyncio.sleep(0.01)
    return found


async def names(database: Database, count: int, after: Position = FIRST) -> list[str]:
    return [it.event.name for it in await entries(database, count, after)]


async def test_an_event_is_written_with_its_subject_and_its_cause(served: Served) -> None:
    database = served.app[DATABASE]
    await commit(database, "job_script.created")
    with database.bound():
        row = await EventRecord.get()
    assert (row.type, row.slug, row.subject_id) == ("job_script.created", "job-scripts", "5")
    assert (row.owner_email, row.client_id) == ("owner@example.com", "cluster")
    assert (row.actor_subject, row.actor_email, row.actor_client_id, row.request_id) == ORIGIN


async def test_an_event_is_read_as_it_was_emitted(served: Served) -> None:
    database = served.app[DATABASE]
    await commit(database, "job_script.created")
    ((event, position),) = await entries(database, 1)
    assert event.data == {"id": 5, "owner_email": "owner@example.com", "client_id": "cluster", "text": "é"}
    assert (event.id, event.origin) == (position.id, ORIGIN)
    assert event.created_at is not None
    assert event.created_at.utcoffset() is not None


async def test_a_reader_goes_on_where_it_was(served: Served) -> None:
    database = served.app[DATABASE]
    await commit(database, "a", "b")
    await commit(database, "c")
    first, second = await entries(database, 2)
    assert (first.event.name, second.event.name) == ("a", "b")
    assert await names(database, 2, first.position) == ["b", "c"]
    assert await names(database, 1, second.position) == ["c"]


async def test_a_reader_at_the_end_gets_what_is_committed_later(served: Served) -> None:
    database = served.app[DATABASE]
    await commit(database, "before")
    position = await end(database.fetch, is_sqlite=database.is_sqlite)
    await commit(database, "after")
    assert await names(database, 1, position) == ["after"]


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**database.credentials)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.database("postgresql")
async def test_an_event_whose_transaction_commits_late_is_not_skipped(served: Served) -> None:
    database = served.app[DATABASE]
    position = await end(database.fetch, is_sqlite=False)
    async with connected(database) as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(INSERT)
        await commit(database, "quick")
        assert await read(database.fetch, position, 10, is_sqlite=False) == []
        await transaction.commit()
    assert await names(database, 2, position) == ["late", "quick"]
