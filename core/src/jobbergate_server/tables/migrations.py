"""Migrations of the schema; a lock lets one process at a time apply them."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.migrations.executor import MigrationExecutor
from tortoise.transactions import in_transaction

from jobbergate_server import settings
from jobbergate_server.database.connection import Database
from jobbergate_server.database.meta import create_history
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.tables.owners import record_owners
from jobbergate_server.tables.search_indexes import index_searches

ADVISORY_LOCK = 7_310_235
"""The key of PostgreSQL's advisory lock: an arbitrary number that all versions of this server share."""


async def migrate(database: Database, contributions: Sequence[Contribution]) -> list[str]:
    """Apply the missing migrations in the order of the plugins; return their names (`applications.0001_initial`).

    Record in the database what the plugins of ``contributions`` own, and create indexes for their searches.

    A lock excludes other processes. On PostgreSQL, all migrations share one transaction. On SQLite, each has its own.
    """
    applied: list[str] = []

    def note(event: str, label: str, name: str) -> None:
        if event == "apply_done":
            applied.append(f"{label}.{name}")

    async with locked(database) as client:
        executor = _executor(client, database)
        await create_history(executor)
        await executor.migrate(direction="forward", progress=note)
        await record_owners(contributions)
        if not database.is_sqlite:
            await index_searches(client, contributions)
    return applied


async def pending(database: Database) -> list[str]:
    """Return the names of the missing migrations."""
    with database.bound():
        steps = await _executor(database.client, database).plan()
    return [f"{step.migration.app_label}.{step.migration.name}" for step in steps]


async def strangers(database: Database) -> list[str]:
    """Return the labels of apps with tables in the database whose models are not loaded."""
    with database.bound():
        applied = await _executor(database.client, database).recorder.applied_migrations()
    return sorted({key.app_label for key in applied} - database.config["apps"].keys())


def _executor(client: BaseDBAsyncClient, database: Database) -> MigrationExecutor:
    return MigrationExecutor(client, database.config["apps"])


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[BaseDBAsyncClient]:
    """Yield the connection while no other process migrates; on PostgreSQL in a transaction."""
    with database.bound():
        if not database.is_sqlite:
            async with in_transaction(database.connection_name) as client:
                await client.execute_query("SET LOCAL idle_in_transaction_session_timeout = 0")
                await client.execute_query(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
                yield client
            return
        # SQLite cannot alter referenced tables inside a transaction, so a file lock excludes other processes.
        path = settings.path_of(database.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield database.client
