"""Plugins that are wrong: each is named before anything starts, with what is wrong, its file and its line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp_apispec import response_schema
from structlog.testing import capture_logs

from jobbergate_server import PUBLIC, Route, Schema, hookimpl
from jobbergate_server.errors import StartError
from jobbergate_server.http import fields
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.discovery import discover, select
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from aiohttp import web

    from conftest import Site
    from jobbergate_devkit.testing import MakeApp

pytestmark = pytest.mark.usefixtures("clean_environment")

SECONDS = 2.0
"""How long a hook that hangs is waited for: far more than any other one takes, on a busy machine too."""
HOOK = "@hookimpl\ndef {}:\n    return {}"

WRONG = {
    # What fails when the plugin is imported.
    "import not_installed_anywhere": (
        "import: ModuleNotFoundError: No module named 'not_installed_anywhere' ({file}:5)"
    ),
    "raise RuntimeError('out of licences')": "import: RuntimeError: out of licences ({file}:5)",
    "raise RuntimeError('two\\nlines')": "import: RuntimeError: two lines ({file}:5)",
    "raise SystemExit(3)": "import: SystemExit: 3 ({file}:5)",
    "def register_routes(:": "import: SyntaxError: invalid syntax (site_alpha.py, line 5) ({file}:5)",
    # What looks like a hook and would never be called, or not with what it asks for.
    HOOK.format("register_rutes()", "[]"): (
        "import: hook 'register_rutes' does not exist; did you mean 'register_routes'? ({file}:5)"
    ),
    HOOK.format("frobnicate()", "[]"): "import: hook 'frobnicate' does not exist ({file}:5)",
    "@hookimpl(specname='on_events')\ndef hear(): ...": (
        "import: hook 'on_events' does not exist; did you mean 'on_event'? ({file}:5)"
    ),
    HOOK.format("register_routes(application)", "[]"): (
        "import: register_routes takes application, but the hook provides context ({file}:5)"
    ),
    HOOK.format("lifespan(app, context, config)", "[]"): (
        "import: lifespan takes app, config, but the hook provides context, statistics ({file}:5)"
    ),
    HOOK.format("register_models(context)", "None"): (
        "import: register_models takes context, but the hook provides no arguments ({file}:5)"
    ),
    # What fails or hangs when a hook is called.
    HOOK.format("register_routes()", "1 / 0"): "register_routes: ZeroDivisionError: division by zero ({file}:7)",
    "def count():\n    return 1 / 0\n" + HOOK.format("register_events()", "count()"): (
        "register_events: ZeroDivisionError: division by zero ({file}:6)"
    ),
    HOOK.format("register_commands()", "threading.Event().wait()"): (
        "register_commands: did not end within 2 seconds ({file}:7)"
    ),
    # What a hook returns that is not what it should.
    HOOK.format("register_settings()", "dict"): (
        "register_settings: TypeError: <class 'dict'> is not a subclass of Section ({file}:5)"
    ),
    HOOK.format("register_settings()", "Section()"): (
        "register_settings: TypeError: Section() is not a subclass of Section ({file}:5)"
    ),
    HOOK.format("register_models()", "'alpha.models'"): (
        "register_models: TypeError: 'alpha.models' is not an instance of Models ({file}:5)"
    ),
    HOOK.format("register_models()", "Models('nowhere', migrations='site_alpha')"): (
        "register_models: ModuleNotFoundError: No module named 'nowhere' ({file}:5)"
    ),
    HOOK.format("register_models()", "Models('site_alpha', migrations='nowhere')"): (
        "register_models: ModuleNotFoundError: No module named 'nowhere' ({file}:5)"
    ),
    HOOK.format("register_permissions()", "'alpha:view'"): (
        "register_permissions: TypeError: 'a' is not a Permission ({file}:5)"
    ),
    HOOK.format("register_permissions()", "Permission('alpha:view', 'See.')"): (
        "register_permissions: TypeError: 'alpha:view' is not a Permission ({file}:5)"
    ),
    HOOK.format("register_events()", "['alpha.told']"): (
        "register_events: TypeError: 'alpha.told' is not an EventType ({file}:5)"
    ),
    "@hookimpl\ndef register_settings(): return Section\n"
    "@hookimpl(specname='register_settings')\ndef more_settings(): return Section": (
        "register_settings: TypeError: the plugin implements the hook twice; keep one implementation ({file}:5)"
    ),
    HOOK.format("register_routes()", "5"): "register_routes: TypeError: 5 is not a list of Routes ({file}:5)",
    "@hookimpl(wrapper=True)\ndef on_event(event):\n    yield\n": (
        "import: on_event is a wrapper, but the server calls hooks of one plugin at a time ({file}:5)"
    ),
    HOOK.format("register_routes()", "[PUBLIC]"): (
        "register_routes: TypeError: <Access.PUBLIC: 'Every caller, without a token.'> is not a Route ({file}:5)"
    ),
    HOOK.format("register_routes()", "[Route('GET', 'a', print, permission=PUBLIC)]"): (
        "register_routes: ValueError: the path 'a' must be empty or begin with '/' ({file}:7)"
    ),
    HOOK.format("register_commands()", "['sweep']"): (
        "register_commands: TypeError: 'sweep' is not a Command ({file}:5)"
    ),
}
"""By the source of a plugin, what is said of it."""


def installed(site: Site, source: str) -> str:
    """Install the plugin alpha with the source, which begins at line 5, and return its file."""
    imports = "import threading\nfrom jobbergate_server import PUBLIC, Models, Permission, Route, Section, hookimpl"
    return str(site.file(site.install("alpha", f"{imports}\n\n{source}\n")))


def alone(slug: str) -> list[Plugin]:
    """The plugin and the core's own, as others take time to import."""
    return select(discover(), [slug])


@pytest.mark.parametrize(("source", "message"), WRONG.items())
def test_a_plugin_that_is_wrong_stops_the_start_with_its_file_and_line(site: Site, source: str, message: str) -> None:
    file = installed(site, source)
    with pytest.raises(StartError) as failure:
        Installation.of(load_settings(plugins={"start_timeout": SECONDS}), alone("alpha"))
    assert str(failure.value) == f"plugin 'alpha' (site-alpha 1.0): {message.format(file=file)}"


@pytest.mark.parametrize(("source", "message"), WRONG.items())
def test_an_optional_plugin_that_is_wrong_is_left_out_with_the_same_words(
    site: Site, source: str, message: str
) -> None:
    reason = message.format(file=installed(site, source))
    with capture_logs() as logs:
        server = Installation.of(
            load_settings(plugins={"start_timeout": SECONDS, "optional": ["alpha"]}), alone("alpha")
        )
    assert [(plugin.slug, plugin.reason) for plugin in server.plugins.failed] == [("alpha", reason)]
    assert "alpha" not in [it.plugin.slug for it in server.contributions]
    assert logs == [{"event": "optional plugin failed", "log_level": "error", "plugin": "alpha", "reason": reason}]


def test_an_import_that_hangs_stops_the_start(site: Site) -> None:
    # Python waits for this import for ever when the module is imported again, so no other test has one of its name.
    file = site.file(site.install("sleeper", "import threading\nthreading.Event().wait()"))
    with pytest.raises(StartError) as failure:
        Installation.of(load_settings(plugins={"start_timeout": SECONDS}), alone("sleeper"))
    message = f"import: did not end within 2 seconds ({file}:3)"
    assert str(failure.value) == f"plugin 'sleeper' (site-sleeper 1.0): {message}"


class Strange(fields.Text):
    """A field that cannot be described."""

    @property
    def metadata(self) -> dict[str, object]:
        """Break the document."""
        raise RuntimeError("beyond words")

    @metadata.setter
    def metadata(self, _: object) -> None: ...


class SilentSchema(Schema):
    """It cannot be described."""

    text = Strange(required=True)


class SetSchema(Schema):
    """Its description is no JSON."""

    text = fields.Text(required=True, example=frozenset({1}))


class Shelf:
    """A plugin with a route whose answer has ``schema``."""

    def __init__(self, schema: type[Schema]) -> None:
        @response_schema(schema)
        async def look(_: web.Request) -> dict[str, str]:
            """Look at the shelf."""
            return {"text": "empty"}

        self.look = look

    @hookimpl
    def register_routes(self) -> list[Route]:
        """One route."""
        return [Route("GET", "", self.look, permission=PUBLIC)]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (SilentSchema, "API document: RuntimeError: beyond words"),
        (SetSchema, "API document: TypeError: Type is not JSON serializable: frozenset"),
    ],
)
async def test_a_schema_that_breaks_the_api_document_is_told_with_its_plugin(
    make_app: MakeApp, notebook: list[Plugin], schema: type[Schema], message: str
) -> None:
    module = type("Module", (Shelf,), {"__name__": "shelf", "__doc__": "A shelf."})(schema)
    shelf = Plugin("shelf", module, "site-shelf", "1.0")
    with pytest.raises(StartError) as failure:
        await make_app(plugins=[*notebook, replace(shelf)])
    assert str(failure.value).startswith(f"plugin 'shelf' (site-shelf 1.0): {message}")
    with capture_logs() as logs:
        served = await make_app(plugins=[*notebook, replace(shelf)], settings={"plugins": {"optional": ["shelf"]}})
    assert [log["plugin"] for log in logs if log["event"] == "optional plugin failed"] == ["shelf"]
    document = await (await served.client().get("/jobbergate/openapi.json")).json()
    assert "/notebook" in document["paths"]
    assert "/shelf" not in document["paths"]
