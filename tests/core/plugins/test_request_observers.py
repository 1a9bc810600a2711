"""Plugins are told of every request that was answered, and cannot harm it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from jobbergate_devkit.server import ISSUER_PATH
from jobbergate_server import HandledRequest, hookimpl
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from types import ModuleType

    from jobbergate_devkit.testing import MakeApp

pytestmark = pytest.mark.database("sqlite")


class Witness:
    """A plugin that notes every request."""

    def __init__(self) -> None:
        self.seen: list[HandledRequest] = []

    @hookimpl
    def on_request(self, request: HandledRequest) -> None:
        """Note it, unless it is for the issuer, which the same server is for these tests."""
        if request.route is None or not request.route.startswith(ISSUER_PATH):
            self.seen.append(request)


class Forgetful:
    """A plugin that fails to note anything."""

    __name__ = "forgetful"

    @hookimpl
    def on_request(self) -> None:
        """Fail."""
        raise RuntimeError("What was it again?")


def plugin(slug: str, module: object) -> Plugin:
    return Plugin(slug, cast("ModuleType", module), slug, "1.0")


async def test_a_plugin_is_told_of_every_request_with_its_route(make_app: MakeApp, notebook: list[Plugin]) -> None:
    witness = Witness()
    client = (await make_app(plugins=[*notebook, plugin("witness", witness)])).client_as()
    for method, path in (
        ("GET", "/notebook?text=private"),
        ("POST", "/notebook/raise/conflict"),
        ("GET", "/health"),
        ("GET", "/nowhere/7"),
        ("DELETE", "/health"),
    ):
        await client.request(method, f"/jobbergate{path}")
    assert [(it.method, it.route, it.plugin, it.status) for it in witness.seen] == [
        ("GET", "/jobbergate/notebook", "notebook", 200),
        ("POST", "/jobbergate/notebook/raise/{error}", "notebook", 409),
        ("GET", "/jobbergate/health", "service", 204),
        ("GET", None, None, 404),
        ("DELETE", None, None, 405),
    ]
    assert all(0 < it.seconds < 60 for it in witness.seen)


async def test_a_request_without_a_token_is_told_of_too(make_app: MakeApp, notebook: list[Plugin]) -> None:
    witness = Witness()
    visitor = (await make_app(plugins=[*notebook, plugin("witness", witness)])).client()
    await visitor.get("/jobbergate/notebook")
    assert [(it.plugin, it.status) for it in witness.seen] == [("notebook", 401)]


async def test_a_plugin_that_fails_to_note_a_request_is_logged_and_harms_nobody(
    make_app: MakeApp, notebook: list[Plugin]
) -> None:
    witness = Witness()
    plugins = [*notebook, plugin("forgetful", Forgetful()), plugin("witness", witness)]
    client = (await make_app(plugins=plugins)).client_as()
    with capture_logs() as logs:
        assert (await client.get("/jobbergate/notebook")).status == 200
    assert len(witness.seen) == 1
    failure = {"event": "request observer failed", "log_level": "error", "exc_info": True, "plugin": "forgetful"}
    assert failure in logs
    assert all(log == failure for log in logs if log["log_level"] != "info")
