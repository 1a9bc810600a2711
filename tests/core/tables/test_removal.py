"""Removing what a plugin has left in the database, whether its code is still there or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import printed, refused

from jobbergate_server.database.models import InstalledPlugin
from jobbergate_server.errors import StartError
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.service import plugin
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate, pending, strangers
from jobbergate_server.tables.removal import TABLES, Remains, examine, remove

if TYPE_CHECKING:
    from pathlib import Path

    from jobbergate_server.database.connection import Database

pytestmark = pytest.mark.usefixtures("clean_environment")

OWN_TABLES = {"event_cursors", "events", "idempotency_keys", "installed_plugins", "tortoise_migrations"}
NOTEBOOK = Remains("notebook", "notebook", "1.0", {"notes": 2}, [], ["notebook:edit"])


def own() -> Plugin:
    return Plugin("service", plugin, "jobbergate-server", "1.0")


def server(url: str, installed: list[Plugin] | None = None) -> Installation:
    return Installation.of(load_settings(database={"url": url}), installed)


async def tables(database: Database) -> set[str]:
    rows = await database.client.execute_query_dict(TABLES[database.connection_name])
    return {row["name"] for row in rows if not row["name"].startswith("sqlite_")}


async def migrated(url: str, installed: list[Plugin]) -> None:
    """Set up the database with the plugins, and with two notes."""
    site = server(url, installed)
    async with site.connected() as database:
        await migrate(database, site.contributions)
        await database.client.execute_query("INSERT INTO notes (text) VALUES ('one'), ('two')")


async def test_a_plugin_leaves_nothing_behind_when_it_is_removed(
    empty_database_url: str, notebook: list[Plugin]
) -> None:
    async with server(empty_database_url, [own()]).connected() as database:
        before = await tables(database)
    assert before == set()
    await migrated(empty_database_url, notebook)
    async with server(empty_database_url, [own()]).current() as database:  # the distribution is gone
        assert await tables(database) == {*OWN_TABLES, "notes"}
        assert await strangers(database) == ["notebook"]
        remains = await examine(database, "notebook")
        assert remains == NOTEBOOK
        await remove(database, remains)
        assert await tables(database) == OWN_TABLES
        assert await strangers(database) == []
        with database.bound():
            assert [row.slug for row in await InstalledPlugin.all()] == ["service"]
        with pytest.raises(StartError) as failure:
            await examine(database, "notebook")
        assert (
            str(failure.value)
            == "The plugin 'notebook' has no tables in this database. Plugins with tables: 'service'."
        )


async def test_a_plugin_that_was_removed_can_be_set_up_again(empty_database_url: str, notebook: list[Plugin]) -> None:
    await migrated(empty_database_url, notebook)
    site = server(empty_database_url, notebook)
    async with site.connected() as database:
        await remove(database, await examine(database, "notebook"))
        assert await pending(database) == ["notebook.0001_initial"]
        assert await migrate(database, site.contributions) == ["notebook.0001_initial"]
        assert (await examine(database, "notebook")).tables == {"notes": 0}


async def test_a_plugin_that_others_point_to_is_kept_until_they_are_removed(database_url: str) -> None:
    async with server(database_url).connected() as database:
        applications = await examine(database, "applications")
        assert [str(reference) for reference in applications.references] == [
            "job_scripts.application_id → applications (owned by plugin 'job-scripts')"
        ]
        with pytest.raises(StartError) as failure:
            await remove(database, applications)
        assert str(failure.value) == "Other tables reference these tables. Remove first: job-scripts."
        assert "applications" in await tables(database)
        for slug in ("job-submissions", "job-scripts", "applications"):
            await remove(database, await examine(database, slug))
        assert await tables(database) & {"applications", "job_scripts", "job_submissions"} == set()


async def test_a_table_of_no_plugin_that_points_to_one_keeps_it(
    empty_database_url: str, notebook: list[Plugin]
) -> None:
    await migrated(empty_database_url, notebook)
    async with server(empty_database_url, [own()]).connected() as database:
        await database.client.execute_query("CREATE TABLE remarks (note INT REFERENCES notes (id))")
        remains = await examine(database, "notebook")
        assert [str(reference) for reference in remains.references] == ["remarks.note → notes (not owned by a plugin)"]
        with pytest.raises(StartError) as failure:
            await remove(database, remains)
        assert str(failure.value) == "Other tables reference these tables. Remove first: remarks."


async def test_the_owners_of_tables_are_noted_anew_with_every_migration(
    empty_database_url: str, notebook: list[Plugin]
) -> None:
    await migrated(empty_database_url, notebook)
    notebook[1].version = "1.1"
    site = server(empty_database_url, notebook)
    async with site.connected() as database:
        assert await migrate(database, site.contributions) == []
        assert (await examine(database, "notebook")).version == "1.1"


@pytest.mark.database("sqlite")
def test_the_command_removes_what_it_has_told_and_only_when_it_is_asked_to(tmp_path: Path, database_url: str) -> None:
    variables = {"JOBBERGATE_DATABASE__URL": database_url}
    told = (
        "webhooks (jobbergate-webhooks 0.1.0)\n"
        "table        webhook_deliveries: 0 rows\n"
        "table        webhooks: 0 rows\n"
        "permission   jobbergate:webhooks:view\n"
        "permission   jobbergate:webhooks:edit\n"
    )
    nothing = "Nothing was removed. --yes removes the tables with all their rows.\n"
    assert printed(tmp_path, "plugins", "remove", "webhooks", **variables) == told + nothing
    assert refused(tmp_path, "plugins", "remove", "webhooks", "--yes", **variables) == (
        "Error: The plugin 'webhooks' is active. Before you remove its tables, uninstall jobbergate-webhooks, or add "
        "the plugin to plugins.disabled.\n"
    )
    variables["JOBBERGATE_PLUGINS__DISABLED"] = '["webhooks"]'
    assert printed(tmp_path, "plugins", "remove", "webhooks", "--yes", **variables) == (
        told + "The tables were removed. Revoke the permissions at the OpenID Connect provider.\n"
    )
