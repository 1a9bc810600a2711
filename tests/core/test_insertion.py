"""A new row that a handler returns is inserted, in as few ways to the database as that takes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest

from jobbergate_server import DATABASE, Event, Journal, PreparedQuery, hookimpl
from jobbergate_server.plugins import Plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from jobbergate_server.testing import Client, MakeApp

RETURNED = "/jobbergate/herald/returned"


class Recorder:
    """A plugin that keeps the events that it is asked about before a commit, and those that it is told of after it."""

    def __init__(self) -> None:
        self.asked: list[Event] = []
        self.told: list[Event] = []

    @hookimpl
    async def before_commit(self, event: Event) -> None:
        """Keep it."""
        self.asked.append(event)

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Keep it."""
        self.told.append(event)


class Subscriber(Recorder):
    """A recorder that wants to be asked while there is a note whose text is the address of the owner."""

    @hookimpl
    def register_subscriptions(self) -> PreparedQuery[Any]:
        """The notes for the owner."""
        note = import_module("notebook.models").Note  # the fixtures are on the path while a test runs
        return PreparedQuery(note, lambda owner: note.filter(text=owner))


class Chronicler:
    """A plugin that notes every event together with the id of what it is about, as the kind of the note."""

    @hookimpl
    def register_journal(self) -> Journal:
        """The notes."""
        note = import_module("notebook.models").Note
        return Journal(note, "kind", lambda event: {"text": f"heard of {event.data['text']}"})


@pytest.fixture
def start(make_app: MakeApp, notebook: list[Plugin]) -> Callable[..., Any]:
    """Serve the notebook and its herald with the plugin that is told."""

    async def start(recorder: object | None = None) -> Client:
        plugins = [*notebook, Plugin("herald", "notebook.herald", "notebook", "1.0", prefix="/herald")]
        if recorder:
            plugins.append(Plugin("recorder", cast("ModuleType", recorder), "recorder", "1.0"))
        return (await make_app(plugins=plugins)).client_as()

    return start


async def returned(client: Client, **columns: str) -> tuple[int, Any]:
    async with client.post(RETURNED, params=columns) as response:
        return response.status, await response.json()


async def notes(client: Client) -> list[str]:
    """All notes but those of what the herald hears later."""
    texts: list[str] = await (await client.get("/jobbergate/notebook")).json()
    return [text for text in texts if not text.startswith("heard")]


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}], ids=["told", "of the database"])
async def test_it_is_there_when_it_is_answered(start: Callable[..., Any], columns: dict[str, str]) -> None:
    client = await start()
    status, note = await returned(client, text="news", **columns)
    assert (status, note) == (201, {"id": note["id"], "text": "news", "kind": columns.get("kind", "note")})
    assert await notes(client) == ["news"]


@pytest.mark.parametrize("first", [{"first": "before"}, {}], ids=["second", "alone"])
async def test_one_that_contradicts_another_is_a_conflict_and_leaves_nothing(
    start: Callable[..., Any], first: dict[str, str]
) -> None:
    client = await start()
    _, note = await returned(client, text="news", kind="letter")
    assert await returned(client, text="again", kind="letter", id=str(note["id"]), **first) == (
        409,
        {"detail": "The request contradicts a row that is stored already."},
    )
    assert await notes(client) == ["news"]


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}, {"first": "before"}], ids=["alone", "default", "second"])
async def test_plugins_are_told_once_with_its_id(start: Callable[..., Any], columns: dict[str, str]) -> None:
    recorder = Recorder()
    client = await start(recorder)
    _, note = await returned(client, text="news", **columns)
    assert [event.data["id"] for event in recorder.asked] == [note["id"]]
    assert recorder.told == recorder.asked


async def test_who_subscribes_is_asked_from_the_first_subscription_on(start: Callable[..., Any]) -> None:
    recorder = Subscriber()
    client = await start(recorder)
    await returned(client, text="somebody@example.com", kind="letter")
    await returned(client, text="owner@example.com", kind="letter")
    recorder.asked.clear()
    _, note = await returned(client, text="news", kind="letter")
    assert [event.data["id"] for event in recorder.asked] == [note["id"]]
    assert await notes(client) == ["somebody@example.com", "owner@example.com", "news"]


@pytest.mark.database("postgresql")
async def test_nobody_is_asked_where_nobody_subscribes(start: Callable[..., Any]) -> None:
    recorder = Subscriber()
    client = await start(recorder)
    await returned(client, text="somebody@example.com", kind="letter")
    await returned(client, text="news", kind="letter")
    assert recorder.asked == []
    assert [event.data["text"] for event in recorder.told] == ["somebody@example.com", "news"]
    await returned(client, text="second", kind="letter", first="another")  # is asked about: it is not alone
    assert [event.data["text"] for event in recorder.asked] == ["second"]


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}, {"first": "before"}], ids=["alone", "default", "second"])
async def test_it_leaves_a_row_with_its_id_in_a_journal(start: Callable[..., Any], columns: dict[str, str]) -> None:
    client = await start(Chronicler())
    _, note = await returned(client, text="news", **columns)
    assert await heard(client) == [("heard of news", str(note["id"]))]


async def test_one_that_is_refused_leaves_nothing_in_a_journal(start: Callable[..., Any]) -> None:
    client = await start(Chronicler())
    _, note = await returned(client, text="news", kind="letter")
    assert (await returned(client, text="again", kind="letter", id=str(note["id"])))[0] == 409
    assert await heard(client) == [("heard of news", str(note["id"]))]


async def heard(client: Client) -> list[tuple[str, str]]:
    """The rows of the journal: what they tell of, and its id."""
    query = "SELECT text, kind FROM notes WHERE text LIKE 'heard of%'"
    rows = await client.app[DATABASE].client.execute_query_dict(query)
    return [(row["text"], row["kind"]) for row in rows]
