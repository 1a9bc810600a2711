"""The plugins that own the tables, recorded in the database: data outlives the code that created it."""

from collections.abc import Iterable
from typing import Any

from jobbergate_server.database.models import InstalledPlugin
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.table_names import tables


async def record_owners(contributions: Iterable[Contribution]) -> None:
    """Record the tables and permissions of those plugins of ``contributions`` that have tables."""
    known = {row.slug: row for row in await InstalledPlugin.all()}
    for it in contributions:
        if it.models is None:
            continue
        values: dict[str, Any] = {
            "distribution": it.plugin.distribution,
            "version": it.plugin.version,
            "tables": tables(it.models),
            "permissions": [permission.name for permission in it.permissions],
        }
        row = known.get(it.plugin.slug)
        if row is None or any(getattr(row, name) != value for name, value in values.items()):
            await InstalledPlugin.update_or_create(values, slug=it.plugin.slug)
