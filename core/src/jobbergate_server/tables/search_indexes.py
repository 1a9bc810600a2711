"""Indexes for the search of lists, which finds a word anywhere in a text.

They need PostgreSQL's extension pg_trgm. Without it, and on SQLite, a search reads every row.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import OperationalError

from jobbergate_server.database.meta import meta, savepoint
from jobbergate_server.lists.query import ListQuery
from jobbergate_server.plugins.contribution import Contribution

EXTENSION = "SELECT installed_version FROM pg_available_extensions WHERE name = 'pg_trgm'"

log = structlog.get_logger()


async def index_searches(client: BaseDBAsyncClient, contributions: Iterable[Contribution]) -> None:
    """Create the missing indexes for the lists of ``contributions``; ``client`` is connected to PostgreSQL."""
    extensions = await client.execute_query_dict(EXTENSION)
    if not extensions:
        log.debug("searches have no index", reason="the PostgreSQL server does not have the extension pg_trgm")
        return
    if extensions[0]["installed_version"] is None:
        try:
            async with savepoint(client):
                await client.execute_script("CREATE EXTENSION pg_trgm")
        except OperationalError as error:
            log.warning("searches have no index", reason=f"pg_trgm cannot be created: {error}")
            return
    for table, column in sorted(set(_searched(contributions))):
        digest = sha256(f"{table}.{column}".encode()).hexdigest()[:6]
        # Tortoise's filter `icontains` has the same expression.
        await client.execute_script(
            f'CREATE INDEX IF NOT EXISTS "trgm_{table[:20]}_{column[:20]}_{digest}" ON "{table}" '
            f'USING gin (UPPER(CAST("{column}" AS VARCHAR)) gin_trgm_ops)'
        )


def _searched(contributions: Iterable[Contribution]) -> Iterator[tuple[str, str]]:
    """Yield the tables and the columns that lists search."""
    for contribution in contributions:
        for route in contribution.routes:
            if isinstance(route.handler, ListQuery):
                table = meta(route.handler.model)
                columns = table.fields_db_projection
                yield from ((table.db_table, columns[name]) for name in route.handler.search if name in columns)
