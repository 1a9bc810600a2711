"""Single rows, by their ids."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from tortoise import Model
from tortoise.context import require_context
from tortoise.fields import OnDelete
from tortoise.queryset import QuerySet

from jobbergate_server.database.prepared import PreparedQuery, Row
from jobbergate_server.database.transaction import transaction_time
from jobbergate_server.storable import INT4_MAX

if TYPE_CHECKING:
    from tortoise.fields.relational import ForeignKeyFieldInstance


CACHED_FINDERS = 1_000
"""The maximum number of queries whose SQL `get_row` caches."""


async def get_row(model: type[Row], row_id: int, *related: str, lock: bool = False) -> Row | None:
    """Return the row with this id and the rows that it references by ``related``; None when it does not exist.

    ``row_id`` can be any integer, even one that exceeds the id column. With ``lock``, no other transaction changes the
    row until this one ends.
    """
    if not 0 < row_id <= INT4_MAX:
        return None
    rows = await _finder(model, related, lock)(row_id)
    return rows[0] if rows else None


@lru_cache(CACHED_FINDERS)
def _finder(model: type[Row], related: tuple[str, ...], lock: bool) -> PreparedQuery[Row]:  # noqa: FBT001 - `lru_cache` passes it by position
    def by_id(row_id: int) -> QuerySet[Row]:
        rows = model.filter(id=row_id).select_related(*related)
        return rows.select_for_update(of=(model._meta.db_table,)) if lock else rows  # noqa: SLF001 - Tortoise's documented way to the table

    return PreparedQuery(model, by_id)


async def delete_row(row: Model) -> None:
    """Delete the row; in rows that reference it with `SET_NULL`, clear the reference and renew `updated_at`."""
    for model in current_models():
        meta = model._meta  # noqa: SLF001 - Tortoise's documented way to the columns
        for name in meta.fk_fields:
            field = cast("ForeignKeyFieldInstance[Model]", meta.fields_map[name])
            if field.related_model is type(row) and field.on_delete == OnDelete.SET_NULL:
                changes = {
                    f"{name}_id": None,
                    **({"updated_at": transaction_time()} if "updated_at" in meta.fields_map else {}),
                }
                await model.filter(**{f"{name}_id": row.pk}).update(**changes)
    await row.delete()


def current_models() -> Iterator[type[Model]]:
    """Yield the models of all plugins of the current application."""
    for models in (require_context().apps or {}).values():
        yield from models.values()
