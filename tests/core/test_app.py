"""What plugins keep open while the server serves, and what becomes of those that cannot open it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.contribution import CONTRIBUTIONS, EVENTS

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

    from conftest import Site
    from jobbergate_devkit.testing import MakeApp, Served

pytestmark = [pytest.mark.usefixtures("clean_environment"), pytest.mark.database("sqlite")]

SECONDS = 2.0
"""How long a lifespan that hangs is waited for: far more than any other one takes, on a busy machine too."""
ALPHA = """
import asyncio, threading, time
from contextlib import asynccontextmanager
from aiohttp import web
from jobbergate_server import PUBLIC, Event, EventType, Route, emit, hookimpl

called = []
released = threading.Event()

async def look(request):
    return web.json_response(called)

@hookimpl
def register_events():
    return [EventType("alpha.told", "Alpha was told.")]

@hookimpl
def register_routes():
    return [Route("GET", "", look, permission=PUBLIC)]

@hookimpl
def on_request(request):
    called.append("on_request")

@hookimpl
async def check_health():
    return "alpha is ill"

@hookimpl
async def on_event(event):
    called.append("on_event")

@hookimpl
async def before_commit(event):
    called.append("before_commit")

"""
"""All hooks that are called while the server serves; the source ends before line 38."""
BETA = """
from aiohttp import web
from jobbergate_server import PUBLIC, Event, Route, emit, hookimpl

async def tell(request):
    emit(Event("beta.told", {}))
    return web.Response()

@hookimpl
def register_routes():
    return [Route("POST", "", tell, permission=PUBLIC)]
"""
OPENS = """
@hookimpl
@asynccontextmanager
async def lifespan():
    {}
    yield {{}}
"""
FAILING = {
    OPENS.format("raise RuntimeError('no licence server')"): "RuntimeError: no licence server ({file}:42)",
    OPENS.format("await asyncio.Event().wait()"): "did not end within 2 seconds ({file}:42)",
    "@hookimpl\ndef lifespan():\n    return 5\n": "TypeError: 5 is not an asynchronous context manager ({file}:38)",
    "@hookimpl\ndef lifespan():\n    released.wait()\n": "did not end within 2 seconds ({file}:40)",
}
"""By the source of a lifespan, what is said of it."""


async def plugins(served: Served) -> dict[str, tuple[str, str | None]]:
    """The states and reasons that `/plugins` tells."""
    answer = await (await served.client_as().get("/jobbergate/plugins")).json()
    return {plugin["name"]: (plugin["state"], plugin["reason"]) for plugin in answer["plugins"]}


async def ready(served: Served) -> tuple[int, dict[str, Any]]:
    response = await served.client().get("/jobbergate/ready")
    answer: dict[str, Any] = await response.json()
    return response.status, answer


@pytest.mark.parametrize(("lifespan", "message"), FAILING.items())
async def test_a_lifespan_that_fails_stops_the_start(
    site: Site, make_app: MakeApp, lifespan: str, message: str
) -> None:
    file = site.file(site.install("alpha", ALPHA + lifespan))
    with pytest.raises(StartError) as failure:
        await make_app(plugins=["alpha"], settings={"plugins": {"start_timeout": SECONDS}})
    assert str(failure.value) == f"plugin 'alpha' (site-alpha 1.0): lifespan: {message.format(file=file)}"


@pytest.mark.parametrize(("lifespan", "message"), FAILING.items())
async def test_an_optional_plugin_whose_lifespan_fails_is_left_out_whole(
    site: Site, make_app: MakeApp, lifespan: str, message: str
) -> None:
    module = site.install("alpha", ALPHA + lifespan)
    site.install("beta", BETA)
    settings = {"plugins": {"start_timeout": SECONDS, "optional": ["alpha"]}}
    with capture_logs() as logs:
        served = await make_app(plugins=["alpha", "beta"], settings=settings)
    reason = f"lifespan: {message.format(file=site.file(module))}"
    assert logs == [{"event": "optional plugin failed", "log_level": "error", "plugin": "alpha", "reason": reason}]
    assert (await plugins(served))["alpha"] == ("failed", reason)

    visitor = served.client()
    assert (await visitor.get("/jobbergate/alpha")).status == 404
    assert (await visitor.post("/jobbergate/beta")).status == 200
    document = await (await visitor.get("/jobbergate/openapi.json")).json()
    assert "/alpha" not in document["paths"]
    assert "alpha" not in [tag["name"] for tag in document["tags"]]
    status, answer = await ready(served)
    assert (status, answer["ready"], answer["degraded"]) == (200, True, True)
    assert answer["checks"]["alpha"] == "not loaded; see the server log"
    await served.close()
    assert sys.modules[module].called == []
    assert "alpha" not in [it.plugin.slug for it in served.app[CONTRIBUTIONS]]


async def test_the_kinds_of_events_of_a_plugin_that_is_left_out_are_unknown(site: Site, make_app: MakeApp) -> None:
    site.install("alpha", ALPHA + OPENS.format("raise RuntimeError"))
    served = await make_app(plugins=["alpha"], settings={"plugins": {"optional": ["alpha"]}})
    assert "alpha.told" not in served.app[EVENTS]


async def test_what_requires_a_plugin_that_is_left_out_is_left_out_too(site: Site, make_app: MakeApp) -> None:
    site.install("alpha", ALPHA + OPENS.format("raise RuntimeError('no licence server')"))
    opened = "\nfrom contextlib import asynccontextmanager\n" + OPENS.format("raise SystemExit('opened')")
    site.install("beta", BETA + opened, requires=("site-alpha",))
    settings = {"plugins": {"optional": ["alpha", "beta"]}}
    with capture_logs() as logs:
        served = await make_app(plugins=["beta"], settings=settings)
    assert [log["plugin"] for log in logs] == ["alpha", "beta"]
    assert (await plugins(served))["beta"] == ("failed", "requires 'alpha', which failed to load")
    assert (await served.client().post("/jobbergate/beta")).status == 404
    with pytest.raises(StartError) as failure:
        await make_app(plugins=["beta"], settings={"plugins": {"optional": ["alpha"]}})
    assert str(failure.value) == "plugin 'beta' (site-beta 1.0): requires 'alpha', which failed to load"


async def test_a_lifespan_that_blocks_the_event_loop_is_logged_with_its_place(site: Site, make_app: MakeApp) -> None:
    module = site.install("alpha", ALPHA + OPENS.format("released.wait(30)"))

    def release(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        sys.modules[module].released.set()
        return event

    with capture_logs(processors=[release]) as logs:
        served = await make_app(plugins=["alpha"], settings={"plugins": {"start_timeout": SECONDS}})
    reason = f"lifespan: did not end within 2 seconds ({site.file(module)}:42)"
    assert logs == [{"event": "event loop blocked at start", "log_level": "error", "plugin": "alpha", "reason": reason}]
    assert (await plugins(served))["alpha"] == ("active", None)


async def test_what_a_lifespan_yields_is_at_hand_in_the_context_and_in_the_application(
    site: Site, make_app: MakeApp
) -> None:
    site.install(
        "alpha",
        """
        from contextlib import asynccontextmanager
        from aiohttp import web
        from jobbergate_server import PUBLIC, Route, hookimpl

        SEATS = web.AppKey("seats", int)

        @hookimpl
        @asynccontextmanager
        async def lifespan(context):
            yield {SEATS: 3}

        @hookimpl
        def register_routes(context):
            async def count_seats(request):
                return web.json_response([context[SEATS], request.app[SEATS]])
            return [Route("GET", "", count_seats, permission=PUBLIC)]

        @hookimpl
        async def check_health(context):
            return "ok" if context[SEATS] == 3 else "wrong"
        """,
    )
    served = await make_app(plugins=["alpha"])
    assert await (await served.client().get("/jobbergate/alpha")).json() == [3, 3]
    assert (await ready(served))[1]["checks"]["alpha"] == "ok"


async def test_a_handler_that_blocks_the_event_loop_is_logged_with_its_plugin_and_route(
    site: Site, make_app: MakeApp
) -> None:
    site.install(
        "alpha",
        """
        import asyncio, time
        from jobbergate_server import PUBLIC, Route, hookimpl

        async def block(request):
            await asyncio.sleep(0)
            time.sleep(0.51)

        async def wait(request):
            await asyncio.sleep(0)

        @hookimpl
        def register_routes():
            return [
                Route("GET", "/block/{id}", block, permission=PUBLIC, status=204),
                Route("GET", "/wait", wait, permission=PUBLIC, status=204),
            ]
        """,
    )
    visitor = (await make_app(plugins=["alpha"])).client()
    with capture_logs() as logs:
        assert (await visitor.get("/jobbergate/alpha/wait")).status == 204
        assert (await visitor.get("/jobbergate/alpha/block/3")).status == 204
    (blocked,) = (log for log in logs if log["log_level"] == "warning")
    assert blocked.pop("ms") >= 500
    assert blocked == {
        "event": "event loop blocked by a handler",
        "log_level": "warning",
        "plugin": "alpha",
        "method": "GET",
        "route": "/block/{id}",
    }
