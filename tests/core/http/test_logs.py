"""The log: a line a request with its id, what went wrong, and nothing of what users send."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from jobbergate_server.http.logs import configure_logging
from jobbergate_server.settings import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobbergate_devkit.testing import Client, MakeApp, Served
    from jobbergate_server.plugins.plugin import Plugin

pytestmark = pytest.mark.usefixtures("clean_environment")

NOTES = "/jobbergate/notebook"


@pytest.fixture
def _restored() -> Iterator[None]:
    """Leave the logging of pytest as it was."""
    root = logging.getLogger()
    handlers = root.handlers
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, ("tortoise", "aiosqlite")))}
    yield
    root.handlers = handlers
    for logger, level in levels.items():
        logger.setLevel(level)
    structlog.reset_defaults()


Serve = Callable[[Log], Awaitable["Served"]]


@pytest.fixture
def serve(make_app: MakeApp, notebook: list[Plugin], capsys: pytest.CaptureFixture[str], _restored: None) -> Serve:
    """Serve with a log as it is told; what stands in it after the start is left to read."""

    async def serve(log: Log) -> Served:
        configure_logging(log)
        served = await make_app(plugins=notebook)
        capsys.readouterr()
        return served

    return serve


@pytest.fixture
async def client(serve: Serve) -> Client:
    return (await serve(Log())).client()


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.readouterr().err.splitlines()]


async def test_every_request_has_a_line(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = await serve(Log(format="json"))
    async with served.client().get("/jobbergate/health?search=secret") as response:
        request_id = response.headers["X-Request-ID"]
    (line,) = lines(capsys)
    assert line.pop("ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "path": "/jobbergate/health",
        "status": 204,
        "request_id": request_id,
    }
    assert len(request_id) == 32


async def test_lines_for_people_are_text(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = await serve(Log(format="text"))
    async with served.client().get("/jobbergate/no%0Awhere") as response:
        assert response.status == 404
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "[info     ] request " in text
    assert r"path='/jobbergate/no\nwhere'" in text
    assert "status=404" in text


async def test_a_line_that_cannot_be_written_fails_no_request(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    served = await serve(Log())
    async with served.client().get("/jobbergate/health") as response:
        assert response.status == 204


async def test_the_level_is_the_least_that_is_written(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = await serve(Log(level="WARNING"))
    async with served.client().get("/jobbergate/health"):
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("7f3c-request of the portal", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("zürich", False),
        ("a\tb", False),
    ],
)
async def test_the_request_id_is_that_of_the_client_when_it_is_plain(client: Client, sent: str, kept: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async with client.get("/jobbergate/health", headers={"X-Request-ID": sent}) as response:
        assert (response.headers["X-Request-ID"] == sent) is kept


async def test_answers_that_are_sent_in_parts_have_a_request_id(make_app: MakeApp) -> None:
    agent = (await make_app()).client_as()
    async with agent.get("/jobbergate/job-submissions/agent/pending", headers={"X-Request-ID": "mine"}) as response:
        assert (response.status, response.headers["X-Request-ID"]) == (200, "mine")


async def test_error_answers_have_a_request_id(client: Client) -> None:
    ids = set()
    for path in ("/jobbergate/nowhere", NOTES):
        async with client.get(path) as response:
            ids.add(response.headers["X-Request-ID"])
    assert len(ids) == 2


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_mistake_is_logged_with_its_request_and_without_what_the_user_sent(
    serve: Serve, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    served = await serve(Log.model_validate({"format": form, "level": "DEBUG"}))
    token = served.token(email="someone@example.com")
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "the-request"}
    client = served.client(headers)
    async with client.post(f"{NOTES}/raise/mistake", data="the body") as response:
        assert await response.json() == {"detail": "Internal Server Error"}
    async with client.post(NOTES, params={"text": "the note", "status": "201"}) as response:
        assert response.status == 201
    async with served.client({"Authorization": f"Bearer {token[:-4]}AAAA"}).get(NOTES) as response:
        assert response.status == 401
    text = capsys.readouterr().err
    assert "request failed" in text
    assert "RuntimeError" in text
    assert "add_and_raise" in text
    assert text.count("the-request") >= 3
    assert "token rejected" in text
    assert "the signature is invalid" in text
    for secret in (token, token[:-4], "someone", "the body", "the note", "eyJ"):
        assert secret not in text
