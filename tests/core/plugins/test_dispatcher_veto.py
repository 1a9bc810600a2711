"""What plugins write down before a commit stands or falls with the change that they write it down for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs
from tortoise.backends.base.client import TransactionalDBClient

from jobbergate_server import DATABASE, Conflict, Event, emit, hookimpl
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from types import ModuleType

    from aiohttp import web

    from jobbergate_devkit.testing import Client, MakeApp

HERALD = "/jobbergate/herald"


class Recorder:
    """A plugin that writes every event into the notebook, unless it is a bad one."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.app: web.Application | None = None

    @hookimpl
    async def before_commit(self, event: Event) -> None:
        """Write it down with how many notes of it the transaction sees."""
        assert self.app is not None
        client = self.app[DATABASE].client
        assert isinstance(client, TransactionalDBClient)
        text = event.data["text"]
        self.told.append(text)
        (row,) = await client.execute_query_dict(f"SELECT count(*) AS n FROM notes WHERE text = 'told {text}'")  # noqa: S608 - a test's own text
        await client.execute_query(f"INSERT INTO notes (text) VALUES ('recorded {text}: {row['n']}')")  # noqa: S608 - likewise
        if text == "bad":
            raise RuntimeError("The book is full.")
        if text == "vetoed":
            raise Conflict("The book is closed.")
        if text == "chain":
            emit(Event("herald.told", {"text": "link"}))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(make_app: MakeApp, notebook: list[Plugin], recorder: Recorder) -> Client:
    herald = Plugin("herald", "notebook.herald", "notebook", "1.0")
    recording = Plugin("recorder", cast("ModuleType", recorder), "recorder", "1.0")
    served = await make_app(plugins=[*notebook, herald, recording])
    recorder.app = served.app
    return served.client_as()


async def notes(client: Client) -> list[str]:
    """All notes but those that the herald adds when it hears of the event later."""
    texts: list[str] = await (await client.get("/jobbergate/notebook")).json()
    return [text for text in texts if not text.startswith("heard")]


async def test_it_is_written_in_the_transaction_of_the_request(client: Client) -> None:
    assert (await client.post(HERALD, params={"text": "news"})).status == 200
    assert await notes(client) == ["told news", "recorded news: 1"]


async def test_a_failure_undoes_the_request_which_is_answered_with_500(client: Client, recorder: Recorder) -> None:
    with capture_logs() as logs:
        response = await client.post(HERALD, params={"text": "bad"})
    assert (response.status, await response.json()) == (500, {"detail": "Internal Server Error"})
    assert recorder.told == ["bad"]
    assert await notes(client) == []
    assert [log["log_level"] for log in logs if log["log_level"] == "error"] == ["error"]


async def test_an_api_error_undoes_the_request_and_becomes_its_response(client: Client) -> None:
    response = await client.post(HERALD, params={"text": "vetoed"})
    assert (response.status, await response.json()) == (409, {"detail": "The book is closed."})
    assert await notes(client) == []


@pytest.mark.parametrize(("path", "status"), [("/raise", 409), ("", 400)])
async def test_it_is_not_asked_about_what_is_rolled_back(
    client: Client, recorder: Recorder, path: str, status: int
) -> None:
    assert (await client.post(HERALD + path, params={"text": "news", "status": "400"})).status == status
    assert recorder.told == []
    assert await notes(client) == []


async def test_events_of_parts_that_are_undone_are_left_out(client: Client, recorder: Recorder) -> None:
    assert (await client.post(f"{HERALD}/parts", params={"text": "whole"})).status == 200
    assert recorder.told == ["part", "whole"]


async def test_what_is_told_of_meanwhile_is_written_down_too(client: Client, recorder: Recorder) -> None:
    assert (await client.post(HERALD, params={"text": "chain"})).status == 200
    assert recorder.told == ["chain", "link"]
    assert await notes(client) == ["told chain", "recorded chain: 1", "recorded link: 0"]
