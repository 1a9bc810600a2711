"""Each plugin's cursor: no crash, failure or restore loses an event, and a shutdown does not wait for long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from tortoise.expressions import F

from jobbergate_server import Event, Unavailable, emit, hookimpl
from jobbergate_server.database.models import EventCursor, EventRecord
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.dispatcher import CONCURRENT, Dispatcher
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from types import ModuleType

    from structlog.typing import EventDict

    from jobbergate_server.database.connection import Database

PATIENCE = 60
"""Seconds that a loaded machine may take for what takes a moment."""
UNAVAILABLE = Unavailable("The mail server is unavailable.")


class Clerk:
    """A plugin that waits in its reactions until it is released."""

    def __init__(self) -> None:
        self.current = 0
        self.most = 0
        self.ended: list[str] = []
        self.busy = asyncio.Event()
        self.released = asyncio.Event()
        self.refusals: list[Exception] = []
        """What the next calls of the hook raise."""
        self.failures: list[BaseException] = []
        """What the next reactions raise once they are released."""
        self.is_stubborn = False
        """Whether a cancelled reaction reports that something is unavailable."""

    @hookimpl
    def on_event(self, event: Event) -> Awaitable[None]:
        """Return the reaction."""
        if self.refusals:
            raise self.refusals.pop()
        return self.react(event)

    async def react(self, event: Event) -> None:
        """Wait until released."""
        self.current += 1
        self.most = max(self.most, self.current)
        self.busy.set()
        try:
            await self.released.wait()
            if self.failures:
                raise self.failures.pop()
            self.ended.append(event.data["text"])
        except asyncio.CancelledError:
            if self.is_stubborn:
                raise UNAVAILABLE from None
            raise
        finally:
            self.current -= 1


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs(processors=[merge_contextvars]) as logs:
        yield logs


async def all_read(database: Database, slug: str = "clerk") -> None:
    """Wait until the plugin's cursor is behind the last event."""
    with database.bound():
        last = await EventRecord.all().order_by("-transaction_id", "-id").first()
        async with asyncio.timeout(PATIENCE):
            while last is not None:
                cursor = await EventCursor.get(slug=slug)
                if (cursor.transaction_id, cursor.event_id) >= (last.transaction_id, last.id):
                    return
                await asyncio.sleep(0.01)


class Office:
    """A database with the notebook's tables, and a clerk who reacts to its events."""

    def __init__(self, url: str, notebook: list[Plugin]) -> None:
        self.clerk = Clerk()
        settings = load_settings(None, database={"url": url})
        plugins = [*notebook, Plugin("clerk", cast("ModuleType", self.clerk), "clerk", "1.0")]
        self.installation = Installation.of(settings, plugins)
        self.database = self.installation.database()

    async def commit(self, *texts: str) -> None:
        """Commit an event for each text, in one transaction."""
        with self.database.bound():
            async with self.database.transaction():
                for text in texts:
                    emit(Event("clerk.asked", {"text": text}))

    @asynccontextmanager
    async def dispatching(self, close_seconds: float = PATIENCE) -> AsyncIterator[None]:
        """Dispatch as a server does."""
        plugins, contributions = self.installation.plugins, self.installation.contributions
        dispatcher = Dispatcher(
            plugins, contributions, self.database, keep=timedelta(days=1), close_seconds=close_seconds
        )
        async with self.database.connected(), dispatcher.running():
            yield


@pytest.fixture
def office(database_url: str, notebook: list[Plugin]) -> Office:
    return Office(database_url, notebook)


async def test_an_event_whose_reaction_was_interrupted_is_handled_by_the_next_leader(
    office: Office, logs: list[EventDict]
) -> None:
    async with office.dispatching(close_seconds=0):
        await office.commit("something")
        await asyncio.wait_for(office.clerk.busy.wait(), PATIENCE)
    assert office.clerk.ended == []
    assert [(log["event"], log["plugin"]) for log in logs] == [("event interrupted", "clerk")]
    office.clerk.released.set()
    async with office.dispatching():
        await all_read(office.database)
    async with office.dispatching():
        await all_read(office.database)
    assert office.clerk.ended == ["something"]


async def test_an_event_that_was_committed_while_no_server_ran_is_handled_later(office: Office) -> None:
    office.clerk.released.set()
    async with office.dispatching():
        pass
    async with office.database.connected():
        await office.commit("meanwhile")
    async with office.dispatching():
        await all_read(office.database)
    assert office.clerk.ended == ["meanwhile"]


async def test_a_plugin_that_starts_for_the_first_time_gets_the_events_that_follow(office: Office) -> None:
    office.clerk.released.set()
    async with office.database.connected():
        await office.commit("before")
    async with office.dispatching():
        await office.commit("after")
        await all_read(office.database)
    assert office.clerk.ended == ["after"]


async def test_the_server_waits_for_reactions_before_it_stops(office: Office) -> None:
    async with office.dispatching():
        await office.commit("something")
        await asyncio.wait_for(office.clerk.busy.wait(), PATIENCE)
        asyncio.get_running_loop().call_soon(office.clerk.released.set)
    assert office.clerk.ended == ["something"]


async def test_a_plugin_waits_in_a_few_reactions_at_a_time_and_reacts_to_all_in_order(office: Office) -> None:
    texts = [str(number) for number in range(5 * CONCURRENT)]
    async with office.dispatching():
        await office.commit(*texts)
        await asyncio.wait_for(office.clerk.busy.wait(), PATIENCE)
        office.clerk.released.set()
        await all_read(office.database)
    assert office.clerk.ended == texts
    assert office.clerk.most == CONCURRENT


async def test_a_database_that_was_restored_on_another_server_loses_and_repeats_no_event(office: Office) -> None:
    office.clerk.released.set()
    async with office.dispatching():
        await office.commit("read")
        await all_read(office.database)
    async with office.database.connected():
        await office.commit("unread")
        with office.database.bound():
            if not office.database.is_sqlite:  # where the ids of transactions count
                for table in (EventRecord, EventCursor):
                    await table.all().update(transaction_id=F("transaction_id") + 1_000_000_000)
        await office.commit("new")
    for _ in range(2):
        async with office.dispatching():
            async with asyncio.timeout(PATIENCE):
                while len(office.clerk.ended) < 3:  # noqa: ASYNC110 - the dispatcher calls the clerk
                    await asyncio.sleep(0.01)
            await all_read(office.database)
    assert office.clerk.ended == ["read", "unread", "new"]


@pytest.mark.parametrize("is_plain", [True, False])
async def test_a_reaction_that_needs_something_unavailable_is_repeated(
    office: Office, logs: list[EventDict], *, is_plain: bool
) -> None:
    office.clerk.released.set()
    if is_plain:
        office.clerk.refusals = [UNAVAILABLE]
    else:
        office.clerk.failures = [UNAVAILABLE]
    async with office.dispatching():
        await office.commit("something")
        await all_read(office.database)
    assert office.clerk.ended == ["something"]
    assert [log["event"] for log in logs] == ["event will be retried"]


async def test_a_reaction_that_waits_for_a_cancelled_task_stops_no_other(office: Office, logs: list[EventDict]) -> None:
    office.clerk.released.set()
    office.clerk.failures = [asyncio.CancelledError()]
    async with office.dispatching():
        await office.commit("one")
        await all_read(office.database)
        await office.commit("two")
        await all_read(office.database)
    assert office.clerk.ended == ["two"]
    assert [log["event"] for log in logs] == ["event not handled"]


async def test_a_reaction_that_reports_its_cancellation_as_unavailable_does_not_delay_the_shutdown(
    office: Office, logs: list[EventDict]
) -> None:
    office.clerk.is_stubborn = True
    async with asyncio.timeout(PATIENCE), office.dispatching(close_seconds=0):
        await office.commit("something")
        await office.clerk.busy.wait()
    assert [log["event"] for log in logs] == ["event interrupted"]
    office.clerk.released.set()
    async with office.dispatching():
        await all_read(office.database)
    assert office.clerk.ended == ["something"]


async def test_old_events_are_deleted(office: Office) -> None:
    async with office.database.connected():
        await office.commit("old", "new")
        with office.database.bound():
            old = await EventRecord.all().order_by("id").first()
            assert old is not None
            await EventRecord.filter(id=old.id).update(created_at=datetime.now(UTC) - timedelta(days=2))
    async with office.dispatching():
        with office.database.bound():
            async with asyncio.timeout(PATIENCE):
                while await EventRecord.all().count() > 1:  # noqa: ASYNC110 - a task of the server deletes it
                    await asyncio.sleep(0.01)
            assert [it.data["text"] for it in await EventRecord.all()] == ["new"]
