"""Committed events reach each plugin that reacts; what was rolled back reaches none."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from jobbergate_server import Event, emit, hookimpl
from jobbergate_server.http.logs import REQUEST_ID
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import ModuleType

    from structlog.typing import EventDict

    from jobbergate_devkit.testing import Client, MakeApp, Served

    Heard = Callable[[], Awaitable[list[str]]]

HERALD = "/jobbergate/herald"


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
