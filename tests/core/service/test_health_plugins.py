"""Plugins that look after themselves: what they say of their health stands in `/ready`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from jobbergate_server.service import health

if TYPE_CHECKING:
    from conftest import Site
    from jobbergate_devkit.testing import MakeApp

pytestmark = [pytest.mark.usefixtures("clean_environment"), pytest.mark.database("sqlite")]

HEALTH = """
import asyncio
from jobbergate_server import hookimpl
from jobbergate_server import transaction_time

@hookimpl
async def check_health():
    {}
"""
ILL = {
    "return 'the licence server is away'": "the licence server is away",
    "raise RuntimeError('secret')": "not known (RuntimeError)",
    "await asyncio.Event().wait()": "not known (TimeoutError)",
}
"""By what a plugin does to tell of its health, what is said."""


@pytest.fixture(autouse=True)
def deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DEADLINE", 1.0)


async def ready(make_app: MakeApp, **plugins: object) -> tuple[int, dict[str, Any]]:
    served = await make_app(plugins=["alpha"], settings={"plugins": plugins})
    response = await served.client().get("/jobbergate/ready")
    answer: dict[str, Any] = await response.json()
    return response.status, answer


async def test_a_plugin_that_is_well_is_ready(site: Site, make_app: MakeApp) -> None:
    site.install("alpha", HEALTH.format("return 'ok'"))
    checks = {"database": "ok", "schema": "ok", "issuer": "ok", "files": "ok", "alpha": "ok"}
    assert await ready(make_app) == (200, {"ready": True, "degraded": False, "checks": checks})


@pytest.mark.parametrize(("source", "said"), ILL.items())
async def test_a_server_is_not_ready_when_a_plugin_is_not_well(
    site: Site, make_app: MakeApp, source: str, said: str
) -> None:
    site.install("alpha", HEALTH.format(source))
    with capture_logs() as logs:
        status, answer = await ready(make_app)
    assert (status, answer["ready"], answer["degraded"]) == (503, False, False)
    assert answer["checks"]["alpha"] == said
    failures = [log["plugin"] for log in logs if log["event"] == "health check failed"]
    assert failures == (["alpha"] if said.startswith("not known") else [])


@pytest.mark.parametrize(("source", "said"), ILL.items())
async def test_a_server_is_degraded_when_an_optional_plugin_is_not_well(
    site: Site, make_app: MakeApp, source: str, said: str
) -> None:
    site.install("alpha", HEALTH.format(source))
    with capture_logs():
        status, answer = await ready(make_app, optional=["alpha"])
    assert (status, answer["ready"], answer["degraded"]) == (200, True, True)
    assert answer["checks"]["alpha"] == said
