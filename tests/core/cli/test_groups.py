"""Commands of plugins, and the list of all routes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import printed, refused
from processes import COMMAND
from processes import printed as printed_by_process

from jobbergate_server.plugins.discovery import discover

if TYPE_CHECKING:
    from conftest import Site
    from jobbergate_devkit.testing import MakeApp

AUDIT = Path(__file__).with_name("audit.txt")
BUNDLED = {
    "applications",
    "audit-log",
    "email-notifications",
    "job-scripts",
    "job-submissions",
    "prometheus",
    "service",
    "webhooks",
}
COMMANDS = """
import click
from jobbergate_applications.models import Application
from jobbergate_server import Event, emit, hookimpl, transaction
from jobbergate_server import transaction_time

@click.command()
@click.option("--name", default="all", help="Whom to greet.")
def greet(name):
    '''Say hello.'''
    click.echo(f"Hello, {name}!")

@click.command("add-application")
@click.argument("name")
async def add_application(name):
    '''Add an application.'''
    moments = {"created_at": transaction_time(), "updated_at": transaction_time()}
    async with transaction():
        row = await Application.create(application_name=name, application_owner_email="owner@example.com", **moments)
        emit(Event("application.created", {"id": row.id, "owner_email": "owner@example.com"}))
    click.echo(f"There are {await Application.all().count()}.")

@hookimpl
def register_commands(context):
    return [greet, add_application] if context.slug == "alpha" else []
"""


@pytest.fixture
def variables(site: Site) -> dict[str, str]:
    """The variables of processes which have the plugin alpha and its commands."""
    site.install("alpha", COMMANDS, requires=("jobbergate-applications",))
    return {"PYTHONPATH": str(site.folder)}


def test_a_command_of_a_plugin_is_run_with_its_options(tmp_path: Path, variables: dict[str, str]) -> None:
    assert printed_by_process(tmp_path, "alpha", "greet", "--name", "Ada", **variables) == "Hello, Ada!\n"
    assert list(tmp_path.glob("var/*.db")) == []


def test_the_commands_of_plugins_are_listed(tmp_path: Path, variables: dict[str, str]) -> None:
    groups = printed(tmp_path, "--help", **variables)
    assert "  alpha           Commands of the plugin alpha.\n" in groups
    assert "job-scripts" not in groups
    help_lines = printed(tmp_path, "alpha", "--help", **variables).splitlines()
    assert help_lines[-3:] == ["Commands:", "  greet            Say hello.", "  add-application  Add an application."]


@pytest.mark.database("sqlite")
def test_a_command_that_is_a_coroutine_has_the_database_at_hand(
    tmp_path: Path, database_url: str, variables: dict[str, str]
) -> None:
    variables["JOBBERGATE_DATABASE__URL"] = database_url
    assert printed(tmp_path, "alpha", "add-application", "One", **variables) == "There are 1.\n"


async def test_an_event_of_a_command_is_in_the_audit_log(
    make_app: MakeApp, tmp_path: Path, database_url: str, variables: dict[str, str]
) -> None:
    variables["JOBBERGATE_DATABASE__URL"] = database_url
    assert printed(tmp_path, "alpha", "add-application", "One", **variables) == "There are 1.\n"
    api = (await make_app(plugins=["audit-log"])).client_as()
    (entry,) = (await (await api.get("/jobbergate/audit-log")).json())["results"]
    assert (entry["event"], entry["resource_id"]) == ("application.created", "1")
    assert (entry["subject"], entry["email"], entry["client_id"]) == (None, None, None)


def test_a_command_needs_a_current_schema(tmp_path: Path, variables: dict[str, str]) -> None:
    said = refused(tmp_path, "alpha", "add-application", "One", **variables)
    assert said.startswith("Error: The database schema is out of date. Missing migrations: applications.0001_initial, ")
    assert said.endswith(". Run `jobbergate-server migrate`.\n")


def test_the_commands_of_a_plugin_that_is_not_active_are_refused(tmp_path: Path, variables: dict[str, str]) -> None:
    variables["JOBBERGATE_PLUGINS__DISABLED"] = '["alpha"]'
    assert refused(tmp_path, "alpha", "greet", **variables) == "Error: The plugin 'alpha' is not active.\n"


def test_the_audit_lists_every_route_of_the_bundled_plugins(tmp_path: Path) -> None:
    others = [plugin.slug for plugin in discover() if plugin.slug not in BUNDLED]
    disabled = "[" + ", ".join(f'"{slug}"' for slug in others) + "]"
    listed = printed_by_process(tmp_path, "audit", JOBBERGATE_PLUGINS__DISABLED=disabled)
    assert listed == AUDIT.read_text(), f"see that the change is meant, and run `{COMMAND} audit > {AUDIT}`"
