"""Removal of a plugin's tables and records, even after its code was uninstalled."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobbergate_server.database.connection import Database
from jobbergate_server.database.models import InstalledPlugin
from jobbergate_server.errors import StartError
from jobbergate_server.tables.migrations import locked

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()",
}
FOREIGN_KEYS = {
    "sqlite": (
        'SELECT it.name AS source, fk."from" AS "column", fk."table" AS target '
        "FROM sqlite_master AS it, pragma_foreign_key_list(it.name) AS fk WHERE it.type = 'table'"
    ),
    "postgresql": (
        'SELECT source.relname AS source, attribute.attname AS "column", target.relname AS target '
        "FROM pg_constraint AS fk "
        "JOIN pg_class AS source ON source.oid = fk.conrelid "
        "JOIN pg_class AS target ON target.oid = fk.confrelid "
        "JOIN pg_attribute AS attribute ON attribute.attrelid = fk.conrelid AND attribute.attnum = fk.conkey[1] "
        "WHERE fk.contype = 'f' AND fk.connamespace = current_schema()::regnamespace"
    ),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of another plugin's table; ``owner`` is that plugin's slug, None when no plugin owns the table."""

    source: str
    column: str
    target: str
    owner: str | None

    def __str__(self) -> str:
        owner = f"owned by plugin {self.owner!r}" if self.owner else "not owned by a plugin"
        return f"{self.source}.{self.column} → {self.target} ({owner})"


@dataclass(frozen=True, slots=True)
class Remains:
    """The tables of a plugin with their numbers of rows, and the foreign keys that reference them."""

    slug: str
    distribution: str
    version: str
    tables: dict[str, int]
    references: list[Reference]
    permissions: list[str]


async def examine(database: Database, slug: str) -> Remains:
    """Return the tables of the plugin ``slug``, and the foreign keys that reference them.

    Raises:
        StartError: The plugin has no tables in the database.
    """
    with database.bound():
        owners = {row.slug: row for row in await InstalledPlugin.all().order_by("slug")}
    if slug not in owners:
        known = ", ".join(map(repr, owners)) or "none"
        raise StartError(f"The plugin {slug!r} has no tables in this database. Plugins with tables: {known}.")
    plugin = owners[slug]
    existing = {row["name"] for row in await _rows(database, TABLES)}
    names = sorted(existing.intersection(plugin.tables))
    counts = {name: int((await _select(database, f'SELECT count(*) AS n FROM "{name}"'))[0]["n"]) for name in names}  # noqa: S608 - the name of an existing table
    owner_of = {table: owner.slug for owner in owners.values() for table in owner.tables}
    references = [
        Reference(key["source"], key["column"], key["target"], owner_of.get(key["source"]))
        for key in await _rows(database, FOREIGN_KEYS)
        if key["target"] in counts and key["source"] not in counts
    ]
    references.sort(key=lambda it: (it.source, it.column))
    return Remains(slug, plugin.distribution, plugin.version, counts, references, plugin.permissions)


async def remove(database: Database, remains: Remains) -> None:
    """Drop the tables of the plugin, and delete its record and its migrations' records, in one transaction.

    Raises:
        StartError: Tables of other plugins reference them.
    """
    if remains.references:
        owners = sorted({reference.owner or reference.source for reference in remains.references})
        raise StartError(f"Other tables reference these tables. Remove first: {', '.join(owners)}.")
    label = remains.slug.replace("-", "_")
    async with locked(database), database.transaction():
        if database.is_sqlite:
            # Tables that reference each other may be dropped in any order.
            await database.client.execute_query("PRAGMA defer_foreign_keys = ON")
            for table in remains.tables:
                await database.client.execute_query(f'DROP TABLE "{table}"')
        elif remains.tables:
            await database.client.execute_query(f"DROP TABLE {_quoted(remains.tables)}")
        await database.client.execute_query(f"DELETE FROM tortoise_migrations WHERE app = '{label}'")  # noqa: S608 - a slug contains no quotes
        await InstalledPlugin.filter(slug=remains.slug).delete()


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


async def _rows(database: Database, queries: dict[str, str]) -> list[dict[str, Any]]:
    return await _select(database, queries[database.connection_name])


async def _select(database: Database, query: str) -> list[dict[str, Any]]:
    return await database.client.execute_query_dict(query)
