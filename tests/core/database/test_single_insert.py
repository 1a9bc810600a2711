"""A new row that a handler returns is inserted, in as few ways to the database as that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from jobbergate_server import DATABASE, Event, EventRecord, hookimpl
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from jobbergate_devkit.testing import Client, MakeApp

RETURNED = "/jobbergate/herald/returned"


class Recorder:
    """A plugin that keeps the events that it is asked about before a commit."""

    def __init__(self) -> None:
        self.asked: list[Event] = []

    @hookimpl
    async def before_commit(self, event: Event) -> None:
        """Keep it."""
        self.asked.append(event)


@pytest.fixture
def start(make_app: MakeApp, notebook: list[Plugin]) -> Callable[..., Any]:
    """Serve the notebook and its herald with a plugin."""

    async def start(recorder: object | None = None) -> Client:
        plugins = [*notebook, Plugin("herald", "notebook.herald", "notebook", "1.0")]
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


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}], ids=["given", "of the database"])
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
        {"detail": "The request conflicts with an existing record."},
    )
    assert await notes(client) == ["news"]


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}, {"first": "before"}], ids=["alone", "default", "second"])
async def test_plugins_agree_to_its_event_with_its_id(start: Callable[..., Any], columns: dict[str, str]) -> None:
    recorder = Recorder()
    client = await start(recorder)
    _, note = await returned(client, text="news", **columns)
    assert [event.data["id"] for event in recorder.asked] == [note["id"]]


@pytest.mark.parametrize("columns", [{"kind": "letter"}, {}, {"first": "before"}], ids=["alone", "default", "second"])
async def test_its_event_is_logged_with_its_id(start: Callable[..., Any], columns: dict[str, str]) -> None:
    client = await start()
    _, note = await returned(client, text="news", **columns)
    assert await logged(client) == [("news", note["id"], str(note["id"]))]


async def test_one_that_conflicts_leaves_no_event(start: Callable[..., Any]) -> None:
    client = await start()
    _, note = await returned(client, text="news", kind="letter")
    assert (await returned(client, text="again", kind="letter", id=str(note["id"])))[0] == 409
    assert await logged(client) == [("news", note["id"], str(note["id"]))]


async def logged(client: Client) -> list[tuple[str, int, str]]:
    """Text and id of the events, and the id of their subjects."""
    with client.app[DATABASE].bound():
        return [(row.data["text"], row.data["id"], row.subject_id) for row in await EventRecord.all().order_by("id")]
