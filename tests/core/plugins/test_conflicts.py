"""What two plugins bring under one name stops the start, with the names of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobbergate_server.errors import StartError
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.conflicts import KINDS
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from conftest import Site

pytestmark = pytest.mark.usefixtures("clean_environment")

IMPORTS = """
import click
from aiohttp import web
from aiohttp_apispec import json_schema, response_schema
from tortoise import Model, fields as columns
from jobbergate_server import PUBLIC, EventType, Models, Permission, Route, Schema, Section, hookimpl
from jobbergate_server.http import fields

def handler(name, schema=None):
    async def handle(request): ...
    handle.__name__ = name
    return response_schema(schema)(handle) if schema else handle
"""


def hook(name: str, *items: str) -> str:
    """The source of a hook that returns the items."""
    return f"\n@hookimpl\ndef {name}():\n    return [{', '.join(items)}]\n"


def route(path: str, name: str, schema: str = "None", method: str = "GET") -> str:
    return f"Route({method!r}, {path!r}, handler({name!r}, {schema}), permission=PUBLIC)"


def permission(name: str) -> str:
    return f"Permission({name!r}, 'See.')"


def event(name: str) -> str:
    return f"EventType({name!r}, 'It was told.')"


def schema(name: str, field: str = "text") -> str:
    """The source of a schema and of a route whose answer has it."""
    return f"\nclass {name}(Schema):\n    '''A thing.'''\n    {field} = fields.Text(required=True)\n"


def table(name: str) -> str:
    """The source of models with one table."""
    return f"""
@hookimpl
def register_models():
    return Models(__name__, migrations=__name__)
class Row(Model):
    id = columns.IntField(primary_key=True)
    class Meta:
        table = {name!r}
"""


def settings(*keys: str) -> str:
    return "\nclass Table(Section):\n" + "".join(f"    {key}: int = 1\n" for key in keys) + SETTINGS


SETTINGS = "\n@hookimpl\ndef register_settings():\n    return Table\n"
COMMAND = "\n@click.command({!r})\ndef {}(): ...\n"
EARLIER = "@click.command('sweep')\ndef first(): ...\n@click.command('sweep')\ndef second(): ...\n"

CLASHES: dict[str, tuple[dict[str, str], str]] = {
    "route: of one plugin, whatever its parameter is called": (
        {"alpha": hook("register_routes", route("/{id}", "one"), route("/{name:[a-z]+}", "two"))},
        "route 'GET /alpha/{}' is brought by 'alpha' twice",
    ),
    "route: of a plugin in the place of a page of the core": (
        {"docs": hook("register_routes", route("/{file}", "one"))},
        "route 'GET /docs/{}' is brought by both 'service' and 'docs'",
    ),
    "operationId: of one plugin": (
        {"alpha": hook("register_routes", route("/a", "one"), route("/b", "one"))},
        "operationId 'one' is brought by 'alpha' twice",
    ),
    "operationId: of two": (
        {"alpha": hook("register_routes", route("", "one")), "beta": hook("register_routes", route("", "one"))},
        "operationId 'one' is brought by both 'alpha' and 'beta'",
    ),
    "operationId: of the core": (
        {"alpha": hook("register_routes", route("", "ready"))},
        "operationId 'ready' is brought by both 'service' and 'alpha'",
    ),
    "schema: of two": (
        {
            "alpha": schema("ThingSchema") + hook("register_routes", route("", "one", "ThingSchema")),
            "beta": schema("Thing") + hook("register_routes", route("", "two", "Thing")),
        },
        "schema 'Thing' is brought by both 'alpha' and 'beta'",
    ),
    "schema: of one plugin": (
        {
            "alpha": schema("ThingSchema")
            + "first = ThingSchema\n"
            + schema("ThingSchema", "number")
            + hook("register_routes", route("/a", "one", "first"), route("/b", "two", "ThingSchema"))
        },
        "schema 'Thing' is brought by 'alpha' twice",
    ),
    "schema: of the errors": (
        {"alpha": schema("ProblemSchema") + hook("register_routes", route("", "one", "ProblemSchema"))},
        "schema 'Problem' is brought by both 'jobbergate-server' and 'alpha'",
    ),
    "permission: of one plugin": (
        {"alpha": hook("register_permissions", permission("a"), permission("a"))},
        "permission 'a' is brought by 'alpha' twice",
    ),
    "permission: of two": (
        {"zeta": hook("register_permissions", permission("jobbergate:job-scripts:view"))},
        "permission 'jobbergate:job-scripts:view' is brought by both 'zeta' and 'job-scripts'",
    ),
    "event: of one plugin": (
        {"alpha": hook("register_events", event("alpha.told"), event("alpha.told"))},
        "event 'alpha.told' is brought by 'alpha' twice",
    ),
    "event: of two": (
        {"zeta": hook("register_events", event("job_submission.rejected"))},
        "event 'job_submission.rejected' is brought by both 'zeta' and 'job-submissions'",
    ),
    "table: of two": (
        {"zeta": table("job_scripts")},
        "table 'job_scripts' is brought by both 'zeta' and 'job-scripts'",
    ),
    "table: of the core": (
        {"alpha": table("installed_plugins")},
        "table 'installed_plugins' is brought by both 'service' and 'alpha'",
    ),
    "setting: of one plugin, told apart by case alone": (
        {"alpha": settings("url", "URL")},
        "setting 'plugins.alpha.url' is brought by 'alpha' twice",
    ),
    "setting: of a slug that is a key of the core": (
        {"disabled": ""},
        "setting 'plugins.disabled' is brought by both 'jobbergate-server' and 'disabled'",
    ),
    "command: of one plugin": (
        {"alpha": EARLIER + hook("register_commands", "first", "second")},
        "command 'alpha sweep' is brought by 'alpha' twice",
    ),
    "command: of a slug that is a command of the core": (
        {"serve": EARLIER + hook("register_commands", "first")},
        "command 'serve' is brought by both 'jobbergate-server' and 'serve'",
    ),
}


def refused() -> list[str]:
    with pytest.raises(StartError) as failure:
        Installation.of(load_settings())
    return str(failure.value).splitlines()


@pytest.mark.parametrize(("plugins", "message"), CLASHES.values(), ids=CLASHES)
def test_a_clash_stops_the_start_with_the_names_of_both(site: Site, plugins: dict[str, str], message: str) -> None:
    for slug, source in plugins.items():
        site.install(slug, IMPORTS + source)
    assert refused() == [message]


def test_every_kind_of_clash_is_tried() -> None:
    assert {name.partition(":")[0] for name in CLASHES} == set(KINDS)


def test_a_clash_is_told_where_others_require_the_plugin_that_gave_way(site: Site) -> None:
    site.install("acme-licences", name="first")
    site.install("acme_licences", name="second")
    site.install("alpha", requires=("second",))
    assert refused() == ["slug 'acme_licences' is brought by both 'first' and 'second'"]


def test_one_slug_of_two_distributions_is_a_clash(site: Site) -> None:
    site.install("acme-licences", name="first")
    site.install("acme_licences", name="second")
    site.install("applications", name="third")
    site.install("service", name="fourth")
    assert refused() == [
        "slug 'acme_licences' is brought by both 'first' and 'second'",
        "slug 'applications' is brought by both 'jobbergate-applications' and 'third'",
        "slug 'service' is brought by both 'fourth' and 'jobbergate-server'",
    ]


def test_all_clashes_are_told_together(site: Site) -> None:
    contributed = hook("register_routes", route("/a", "one"), route("/a", "two"), route("/b", "two"))
    contributed += hook("register_permissions", permission("a"), permission("jobbergate:applications:view"))
    site.install("alpha", IMPORTS + contributed + settings("url", "URL") + table("rows"))
    site.install("beta", IMPORTS + hook("register_permissions", permission("a")) + table("rows"))
    site.install("applications", name="third")
    assert refused() == [
        "slug 'applications' is brought by both 'jobbergate-applications' and 'third'",
        "route 'GET /alpha/a' is brought by 'alpha' twice",
        "operationId 'two' is brought by 'alpha' twice",
        "permission 'jobbergate:applications:view' is brought by both 'alpha' and 'applications'",
        "permission 'a' is brought by both 'alpha' and 'beta'",
        "table 'rows' is brought by both 'alpha' and 'beta'",
        "setting 'plugins.alpha.url' is brought by 'alpha' twice",
    ]


def test_one_schema_of_several_routes_is_no_clash(site: Site) -> None:
    both = hook("register_routes", route("/a", "one", "ThingSchema"), route("/b", "two", "ThingSchema"))
    site.install("alpha", IMPORTS + schema("ThingSchema") + both)
    assert "alpha" in [it.plugin.slug for it in Installation.of(load_settings()).contributions]


def test_the_duplicate_of_a_disabled_plugin_is_no_clash(site: Site) -> None:
    site.install("alpha", name="first")
    site.install("alpha", name="second")
    Installation.of(load_settings(plugins={"disabled": ["alpha"]}))
