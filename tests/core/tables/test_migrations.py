"""The schema: brought up to date once, in agreement with the models, and quick to search."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from tortoise.context import require_context
from tortoise.migrations.autodetector import MigrationAutodetector

from jobbergate_server import ListQuery
from jobbergate_server.app import create_app
from jobbergate_server.errors import StartError
from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings
from jobbergate_server.settings_sources import PREFIX
from jobbergate_server.tables.migrations import migrate, pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tortoise import Model

    from jobbergate_server.database.connection import Database
    from jobbergate_server.plugins.contribution import Contribution

pytestmark = pytest.mark.usefixtures("clean_environment")

COMMAND = Path(sys.executable).with_name("jobbergate-server")
FIRST = ["applications.0001_initial", "job_scripts.0001_initial", "job_submissions.0001_initial"]
# By what the routes select rows, apart from what the tests below find out by themselves.
SELECTED_BY = {
    "applications": {"application_identifier", "application_owner_email", "is_archived"},
    "job_scripts": {"job_script_owner_email", "is_archived"},
    "job_submissions": {"job_submission_owner_email", "slurm_job_id", "status", "client_id"},
}
# Of these one owner's or one webhook's are sorted, which an index has found.
FEW_AT_A_TIME = {"webhooks", "webhook_deliveries"}
LEADING_COLUMNS = {
    "sqlite": (
        "SELECT tables.name AS tab, columns.name AS col FROM sqlite_master AS tables, "
        "pragma_index_list(tables.name) AS indexes, pragma_index_info(indexes.name) AS columns "
        "WHERE tables.type = 'table' AND columns.seqno = 0 "
        "UNION SELECT tables.name, columns.name FROM sqlite_master AS tables, "
        "pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND columns.pk = 1"
    ),
    "postgresql": (
        "SELECT tables.relname AS tab, columns.attname AS col FROM pg_index "
        "JOIN pg_class AS tables ON tables.oid = indrelid "
        "JOIN pg_attribute AS columns ON columns.attrelid = indrelid AND columns.attnum = indkey[0]"
    ),
}


def contributions() -> list[Contribution]:
    return Installation.of(load_settings()).contributions


def database(url: str) -> Database:
    return Installation.of(load_settings(None, database={"url": url})).database()


def models() -> Iterator[tuple[str, type[Model]]]:
    """The models of all plugins with their labels, while a database is bound."""
    for label, found in (require_context().apps or {}).items():
        yield from ((label, model) for model in found.values())


async def test_a_fresh_database_gets_every_migration_once_in_the_order_of_the_plugins(empty_database_url: str) -> None:
    fresh = database(empty_database_url)
    async with fresh.connected():
        missing = await pending(fresh)
        assert [name for name in missing if name in FIRST] == FIRST
        assert await migrate(fresh, contributions()) == missing
        assert await pending(fresh) == []
        assert await migrate(fresh, contributions()) == []


async def test_processes_that_migrate_at_once_apply_everything_once(empty_database_url: str, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    processes = [
        await asyncio.create_subprocess_exec(
            COMMAND,
            "migrate",
            env=inherited | {"JOBBERGATE_DATABASE__URL": empty_database_url},
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(process.returncode, error) for process, (_, error) in zip(processes, outputs, strict=True)] == [
        (0, b"")
    ] * 2
    late, first = sorted(output.decode().splitlines() for output, _ in outputs)
    assert late == ["The database schema is up to date."]
    assert [name for name in first if name in FIRST] == FIRST


async def test_connections_that_migrate_at_once_apply_everything_once(empty_database_url: str) -> None:
    databases = [database(empty_database_url) for _ in range(3)]

    async def apply(fresh: Database) -> list[str]:
        async with fresh.connected():
            return await migrate(fresh, contributions())

    applied = await asyncio.gather(*(asyncio.to_thread(asyncio.run, apply(fresh)) for fresh in databases))
    assert sorted(map(bool, applied)) == [False, False, True]


async def test_a_server_refuses_a_schema_that_is_behind(empty_database_url: str) -> None:
    fresh = database(empty_database_url)
    async with fresh.connected():
        missing = ", ".join(await pending(fresh))
    with pytest.raises(StartError) as failure:
        await start(empty_database_url, migrate_on_start=False)
    assert str(failure.value) == (
        f"The database schema is out of date. Missing migrations: {missing}. Run `jobbergate-server migrate`, "
        "or set database.migrate_on_start."
    )
    async with fresh.connected():
        assert ", ".join(await pending(fresh)) == missing


async def test_a_server_that_migrates_on_start_starts_on_a_fresh_database(empty_database_url: str) -> None:
    await start(empty_database_url, migrate_on_start=True)
    await start(empty_database_url, migrate_on_start=False)


async def start(url: str, *, migrate_on_start: bool) -> None:
    """Start a server and stop it."""
    settings = load_settings(
        None,
        database={"url": url, "migrate_on_start": migrate_on_start},
        oidc={"issuer": "http://127.0.0.1:9/oidc"},
    )
    runner = web.AppRunner(create_app(settings))
    try:
        await runner.setup()
    finally:
        await runner.cleanup()


async def test_models_and_migrations_agree(database_url: str) -> None:
    migrated = database(database_url)
    async with migrated.connected():
        with migrated.bound():
            apps = require_context().apps
            assert apps is not None
            writers = await MigrationAutodetector(apps, migrated.config["apps"]).changes()
    assert [(writer.app_label, writer.operations) for writer in writers] == []


async def test_a_foreign_key_into_another_plugin_has_a_migration_that_waits_for_it(database_url: str) -> None:
    migrated = database(database_url)
    packages = {it.plugin.label: it.models.migrations for it in contributions() if it.models}
    async with migrated.connected():
        with migrated.bound():
            needed = {
                (label, str(model._meta.fields_map[name].related_model._meta.app))  # type: ignore[attr-defined]  # noqa: SLF001
                for label, model in models()
                for name in model._meta.fk_fields  # noqa: SLF001 - Tortoise's documented way to the columns
            }
    declared = {(label, other) for label, package in packages.items() for other in dependencies(package)}
    across = {(label, other) for label, other in needed if label != other}
    assert {("job_scripts", "applications"), ("job_submissions", "job_scripts")} <= across
    assert across <= declared


def dependencies(package: str) -> Iterator[str]:
    """The labels of the apps that the migrations of ``package`` depend on."""
    for info in iter_modules(import_module(package).__path__, f"{package}."):
        migration: Any = import_module(info.name).Migration
        yield from (label for label, _ in getattr(migration, "dependencies", []))


async def test_what_is_searched_sorted_or_joined_has_an_index(database_url: str) -> None:
    migrated = database(database_url)
    needed = {(table, column) for table, columns in SELECTED_BY.items() for column in columns}
    for contribution in contributions():
        for route in contribution.routes:
            if isinstance(route.handler, ListQuery):
                table = route.handler.model._meta.db_table  # noqa: SLF001 - likewise
                needed |= {(table, column) for column in route.handler.sort if table not in FEW_AT_A_TIME}
    async with migrated.connected():
        with migrated.bound():
            for _, model in models():
                meta = model._meta  # noqa: SLF001 - likewise
                needed |= {(meta.db_table, f"{name}_id") for name in meta.fk_fields}
        rows = await migrated.client.execute_query_dict(LEADING_COLUMNS[migrated.connection_name])
    assert len(needed) > 20
    assert needed - {(row["tab"], row["col"]) for row in rows} == set()
