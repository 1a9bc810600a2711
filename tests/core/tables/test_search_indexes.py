"""Searches on a PostgreSQL that has pg_trgm find their rows by an index."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from benchmarks.postgres import Cluster, cluster
from jobbergate_job_scripts.models import JobScript
from jobbergate_server.database.prepared import compiled
from jobbergate_server.installation import Installation
from jobbergate_server.lists.query import ListQuery
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate, pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jobbergate_server.database.connection import Database

INDEXES = "SELECT tablename AS tab, indexdef AS made_by FROM pg_indexes WHERE indexname LIKE 'trgm_%'"
ROWS = """
INSERT INTO job_scripts (created_at, updated_at, job_script_name, job_script_owner_email, is_archived)
SELECT now(), now(), 'Flow around ' || md5(i::text), 'owner@example.com', false FROM generate_series(1, 20000) AS i
"""
PASSWORD = "x"  # noqa: S105 - of a role that lives as long as a test


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A PostgreSQL, with pg_trgm where the machine has one that has it."""
    with cluster() as running:
        yield running


@pytest.fixture
async def admin(server: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to it."""
    connection = await asyncpg.connect(server.url)
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'"):
            pytest.skip("this PostgreSQL has no pg_trgm")
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def url(admin: asyncpg.Connection, server: Cluster) -> AsyncIterator[str]:
    """The URL of an empty database."""
    name = f"search_{uuid4().hex}"
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield server.database(name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[tuple[Installation, Database]]:
    site = Installation.of(load_settings(database={"url": url}))
    async with site.connected() as database:
        await migrate(database, site.contributions)
        assert await pending(database) == []
        with database.bound():
            yield site, database


async def test_every_searched_column_has_an_index(url: str) -> None:
    async with migrated(url) as (site, database):
        await migrate(database, site.contributions)
        made_by = [(row["tab"], row["made_by"]) for row in await database.fetch(INDEXES, ())]
        lists = [
            route.handler
            for contribution in site.contributions
            for route in contribution.routes
            if isinstance(route.handler, ListQuery)
        ]
        searched = {(it.model._meta.db_table, column) for it in lists for column in it.search}  # noqa: SLF001 - Tortoise's documented way to the table
    assert len(searched) > 12
    assert len(made_by) == len(searched)
    for table, column in searched:
        expression = f"USING gin (upper((({column})::character varying)::text) gin_trgm_ops)"
        assert any(of == table and expression in text for of, text in made_by), (table, column)


async def test_a_search_uses_them(url: str) -> None:
    async with migrated(url) as (_, database):
        sql, values, _ = compiled(JobScript.filter(job_script_name__icontains="c4ca4238a0b9").count())
        await database.client.execute_script(ROWS)
        await database.client.execute_script("VACUUM ANALYZE job_scripts")
        plan = "\n".join(row[0] for row in await database.fetch(f"EXPLAIN {sql}", values))
    assert "Bitmap Index Scan on trgm_job_scripts_job_script_name_" in plan


async def test_who_may_not_create_the_extension_is_served_without_indexes(
    admin: asyncpg.Connection, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    role = f"search_{uuid4().hex}"
    name = url.partition("?")[0].rpartition("/")[2]
    await admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{PASSWORD}'")
    try:
        owner = await asyncpg.connect(url)
        await owner.execute(f'GRANT CREATE, USAGE ON SCHEMA public TO "{role}"')
        await owner.close()
        async with migrated(url.replace("postgres@", f"{role}:{PASSWORD}@")) as (_, database):
            assert await database.fetch(INDEXES, ()) == []
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
        await admin.execute(f'DROP ROLE "{role}"')
    assert "searches have no index" in capsys.readouterr().out
