"""Events: plugins hear of what is committed, once, and nobody waits for what they do then."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
from patience import PATIENCE
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from jobbergate_server import Event, emit, hookimpl
from jobbergate_server.dispatch import AT_ONCE, Dispatcher
from jobbergate_server.logs import REQUEST_ID
from jobbergate_server.plugins import Plugin
from jobbergate_server.settings import load_settings
from jobbergate_server.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import ModuleType

    from structlog.typing import EventDict

    from jobbergate_server.testing import Client, MakeApp, Served

    Heard = Callable[[], Awaitable[list[str]]]

HERALD = "/jobbergate/herald"


class Clerk:
    """A plugin that counts the events that it is at work on."""

    def __init__(self) -> None:
        self.at_once = 0
        self.most_at_once = 0
        self.ended: list[str] = []
        self.busy = asyncio.Event()
        self.released = asyncio.Event()

    @hookimpl
    async def on_event(self, event: Event) -> None:
        """Wait until released, which may be never."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == AT_ONCE:
            self.busy.set()
        try:
            await self.released.wait()
            self.ended.append(event.data["text"])
        finally:
            self.at_once -= 1


@hookimpl
def on_event(event: Event) -> None:
    """This module is a plugin that fails when it hears something bad."""
    if event.data["text"] == "bad":
        raise RuntimeError("The scribe is out of ink.")


@pytest.fixture
def installed(notebook: list[Plugin]) -> list[Plugin]:
    scribe = Plugin("scribe", sys.modules[__name__], "scribe", "1.0", prefix="/scribe")
    herald = Plugin("herald", "notebook.herald", "notebook", "1.0", prefix="/herald")
    return [scribe, *notebook, herald]


@pytest.fixture
async def served(make_app: MakeApp, installed: list[Plugin]) -> Served:
    return await make_app(plugins=installed)


@pytest.fixture
async def client(served: Served) -> Client:
    return served.client({REQUEST_ID: "r1"})


@pytest.fixture
def heard(make_app: MakeApp, installed: list[Plugin], served: Served) -> Heard:
    """Stop the server, which waits for the reactions, and start another one that tells of them."""

    async def heard() -> list[str]:
        await served.close()
        response = await (await make_app(plugins=installed)).client_as().get("/jobbergate/notebook")
        notes: list[str] = await response.json()
        return sorted(note for note in notes if note.startswith("heard"))

    return heard


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs(processors=[merge_contextvars]) as logs:
        yield logs


@asynccontextmanager
async def dispatching(database_url: str, notebook: list[Plugin]) -> AsyncIterator[tuple[Dispatcher, Clerk]]:
    """A dispatcher for the notebook, which reacts to nothing, and the clerk."""
    clerk = Clerk()
    settings = load_settings(None, database={"url": database_url})
    site = Site.of(settings, [*notebook, Plugin("clerk", cast("ModuleType", clerk), "clerk", "1.0")])
    database = site.database()
    async with database.connected():
        yield Dispatcher(site.plugins, site.contributions, database), clerk


async def test_a_reaction_sees_what_is_committed_and_has_a_database_and_the_request_id(
    client: Client, heard: Heard
) -> None:
    assert (await client.post(HERALD, params={"text": "news"})).status == 200
    assert await heard() == ["heard news: 1 committed, inside=False, request=r1"]


@pytest.mark.parametrize(("path", "status"), [("/raise", 409), ("/break", 500), ("", 400)])
async def test_what_is_rolled_back_is_told_to_nobody(client: Client, heard: Heard, path: str, status: int) -> None:
    query = {"text": "news", "status": "400"}
    assert (await client.post(HERALD + path, params=query)).status == status
    assert await heard() == []


async def test_a_part_of_a_transaction_is_told_of_with_the_whole(client: Client, heard: Heard) -> None:
    assert (await client.post(f"{HERALD}/parts", params={"text": "whole"})).status == 200
    assert await heard() == [
        "heard part: 0 committed, inside=False, request=r1",
        "heard whole: 1 committed, inside=False, request=r1",
    ]


async def test_a_part_of_a_transaction_that_is_rolled_back_is_told_to_nobody(client: Client, heard: Heard) -> None:
    assert (await client.post(f"{HERALD}/parts", params={"text": "whole", "status": "400"})).status == 400
    assert await heard() == []


async def test_a_request_may_tell_in_transactions_of_its_own(client: Client, heard: Heard) -> None:
    assert (await client.get(f"{HERALD}/twice")).status == 204
    assert [note.partition(":")[0] for note in await heard()] == ["heard first", "heard second"]


async def test_nothing_can_be_told_without_a_transaction(client: Client, heard: Heard) -> None:
    with pytest.raises(LookupError):
        emit(Event("herald.told", {"text": "lost"}))
    assert (await client.get(f"{HERALD}/without")).status == 500
    assert await heard() == []


async def test_the_answer_does_not_wait_for_a_reaction(client: Client, heard: Heard) -> None:
    assert (await client.post(HERALD, params={"text": "late", "until": "told go"})).status == 200
    assert (await client.post(HERALD, params={"text": "go"})).status == 200
    assert [note.partition(":")[0] for note in await heard()] == ["heard go", "heard late"]


async def test_a_failing_reaction_is_logged_with_its_plugin_and_harms_nobody(
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
        "request_id": "r1",
    }


async def test_a_reaction_that_hangs_does_not_keep_the_server_from_stopping(
    database_url: str, notebook: list[Plugin], logs: list[EventDict]
) -> None:
    async with dispatching(database_url, notebook) as (dispatcher, clerk):
        dispatcher.publish([Event("clerk.asked", {"text": "forever"})])
        async with asyncio.timeout(PATIENCE):
            await dispatcher.close(seconds=0.05)
        assert (clerk.at_once, clerk.ended) == (0, [])
    assert logs == [
        {"event": "event given up", "log_level": "error", "plugin": "clerk", "event_name": "clerk.asked"},
    ]


async def test_the_server_waits_for_reactions_before_it_stops(database_url: str, notebook: list[Plugin]) -> None:
    async with dispatching(database_url, notebook) as (dispatcher, clerk):
        dispatcher.publish([Event("clerk.asked", {"text": "something"})])
        closing = asyncio.create_task(dispatcher.close())
        clerk.released.set()
        await closing
        assert clerk.ended == ["something"]
        await dispatcher.close()


async def test_a_plugin_reacts_to_a_few_events_at_a_time_and_to_all(database_url: str, notebook: list[Plugin]) -> None:
    texts = [str(number) for number in range(5 * AT_ONCE)]
    async with dispatching(database_url, notebook) as (dispatcher, clerk):
        dispatcher.publish(Event("clerk.asked", {"text": text}) for text in texts)
        await asyncio.wait_for(clerk.busy.wait(), PATIENCE)
        clerk.released.set()
        await dispatcher.close()
        assert clerk.ended == texts
        assert clerk.most_at_once == AT_ONCE
