"""Committed events reach each plugin that reacts, in their order, and outlive the process that committed them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from tortoise.expressions import F

from jobbergate_server import Event, Unavailable, emit, hookimpl
from jobbergate_server.database.models import EventCursor, EventRecord
from jobbergate_server.http.logs import REQUEST_ID
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.dispatcher import CONCURRENT, Dispatcher
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import ModuleType

    from structlog.typing import EventDict

    from jobbergate_devkit.testing import Client, MakeApp, Served
    from jobbergate_server.database.connection import Database

    Heard = Callable[[], Awaitable[list[str]]]

HERALD = "/jobbergate/herald"
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


class Apprentice:
    """A plugin that starts only when it is well."""

    __name__ = "apprentice"

    def __init__(self) -> None:
        self.is_well = True
        self.heard: list[str] = []

    @hookimpl
    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Fail unless well."""
        if not self.is_well:
            raise RuntimeError("The apprentice is ill.")
        yield

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Note the event."""
        self.heard.append(event.data["text"])


@hookimpl
def on_event(event: Event) -> None:
    """This module is a plugin that fails to react to something bad."""
    if event.data["text"] == "bad":
        raise RuntimeError("The scribe is out of ink.")


@pytest.fixture
def installed(notebook: list[Plugin]) -> list[Plugin]:
    scribe = Plugin("scribe", sys.modules[__name__], "scribe", "1.0")
    herald = Plugin("herald", "notebook.herald", "notebook", "1.0")
    return [scribe, *notebook, herald]


@pytest.fixture
async def served(make_app: MakeApp, installed: list[Plugin]) -> Served:
    return await make_app(plugins=installed)


@pytest.fixture
async def client(served: Served) -> Client:
    return served.client({REQUEST_ID: "r1"})


@pytest.fixture
def heard(served: Served) -> Heard:
    """Return the herald's notes once it has reacted to every event."""

    async def heard() -> list[str]:
        await served.reactions()
        notes: list[str] = await (await served.client_as().get("/jobbergate/notebook")).json()
        return sorted(note for note in notes if note.startswith("heard"))

    return heard


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


async def test_a_reaction_sees_what_is_committed_and_has_a_database_and_the_request_id(
    client: Client, heard: Heard
) -> None:
    assert (await client.post(HERALD, params={"text": "news"})).status == 200
    assert await heard() == ["heard news: 1 committed, inside=False, request=r1"]


@pytest.mark.parametrize(("path", "status"), [("/raise", 409), ("/break", 500), ("", 400)])
async def test_an_event_of_a_rollback_reaches_no_plugin(client: Client, heard: Heard, path: str, status: int) -> None:
    query = {"text": "news", "status": "400"}
    assert (await client.post(HERALD + path, params=query)).status == status
    assert await heard() == []


async def test_a_nested_transaction_commits_its_events_with_the_outer_one(client: Client, heard: Heard) -> None:
    assert (await client.post(f"{HERALD}/parts", params={"text": "whole"})).status == 200
    assert await heard() == [
        "heard part: 0 committed, inside=False, request=r1",
        "heard whole: 1 committed, inside=False, request=r1",
    ]


async def test_a_nested_transaction_that_is_rolled_back_has_no_events(client: Client, heard: Heard) -> None:
    assert (await client.post(f"{HERALD}/parts", params={"text": "whole", "status": "400"})).status == 400
    assert await heard() == []


async def test_a_request_may_emit_in_transactions_of_its_own(client: Client, heard: Heard) -> None:
    assert (await client.get(f"{HERALD}/twice")).status == 204
    assert [note.partition(":")[0] for note in await heard()] == ["heard first", "heard second"]


async def test_nothing_can_be_emitted_without_a_transaction(client: Client, heard: Heard) -> None:
    with pytest.raises(LookupError):
        emit(Event("herald.told", {"text": "lost"}))
    assert (await client.get(f"{HERALD}/without")).status == 500
    assert await heard() == []


async def test_the_response_does_not_wait_for_a_reaction(client: Client, heard: Heard) -> None:
    assert (await client.post(HERALD, params={"text": "late", "until": "told go"})).status == 200
    assert (await client.post(HERALD, params={"text": "go"})).status == 200
    assert [note.partition(":")[0] for note in await heard()] == ["heard go", "heard late"]


async def test_a_reaction_that_fails_is_logged_with_its_plugin_and_stops_no_other(
    client: Client, heard: Heard, logs: list[EventDict]
) -> None:
    assert (await client.post(HERALD, params={"text": "bad"})).status == 200
    assert await heard() == ["heard bad: 1 committed, inside=False, request=r1"]
    (failure,) = (log for log in logs if log["log_level"] == "error")
    assert failure == {
        "event": "event not handled",
        "log_level": "error",
        "exc_info": True,
        "plugin": "scribe",
        "event_name": "herald.told",
        "event_id": failure["event_id"],
        "request_id": "r1",
    }


async def test_two_servers_react_once_and_one_takes_over_from_the_other(
    make_app: MakeApp, installed: list[Plugin], served: Served
) -> None:
    other = await make_app(plugins=installed)
    for server, text in ((served, "one"), (other, "two"), (served, "three")):
        assert (await server.client().post(HERALD, params={"text": text})).status == 200
    await other.reactions()
    await served.close()
    assert (await other.client().post(HERALD, params={"text": "four"})).status == 200
    await other.reactions()
    notes: list[str] = await (await other.client_as().get("/jobbergate/notebook")).json()
    heard = [note.partition(":")[0] for note in notes if note.startswith("heard")]
    assert sorted(heard) == ["heard four", "heard one", "heard three", "heard two"]


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
    assert [log["event"] for log in logs] == ["event handled later"]


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


async def test_the_events_of_a_plugin_that_fails_to_start_wait_for_it(
    make_app: MakeApp, notebook: list[Plugin]
) -> None:
    apprentice = Apprentice()
    herald = Plugin("herald", "notebook.herald", "notebook", "1.0")
    for text, is_well in (("one", True), ("two", False), ("three", True)):
        apprentice.is_well = is_well
        plugin = Plugin("apprentice", cast("ModuleType", apprentice), "apprentice", "1.0")
        served = await make_app(plugins=[*notebook, herald, plugin], settings={"plugins": {"optional": ["apprentice"]}})
        assert (await served.client().post(HERALD, params={"text": text})).status == 200
        await served.reactions()
        await served.close()
    assert apprentice.heard == ["one", "two", "three"]


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
