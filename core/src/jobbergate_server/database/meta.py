"""Names that Tortoise keeps private, and that no public call replaces: the only door to them outside this package."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Q
from tortoise.migrations.executor import MigrationExecutor
from tortoise.models import MetaInfo


def meta(model: type[Model]) -> MetaInfo:
    """Return the table and the columns of ``model``."""
    return model._meta


def tables(model: type[Model]) -> Iterator[str]:
    """Yield the table of ``model``, and those between it and the other side of its many-to-many relations."""
    yield model._meta.db_table
    for name in sorted(model._meta.m2m_fields):
        relation: Any = model._meta.fields_map[name]
        # The model on the other side has the relation too, and may be another plugin's.
        if not relation._generated and relation.through:
            yield relation.through


def is_negated(q: Q) -> bool:
    """Return whether ``q`` is negated, which its `==` overlooks."""
    return bool(q._is_negated)


def savepoint(client: BaseDBAsyncClient) -> AbstractAsyncContextManager[Any]:
    """Return a transaction of ``client``, or a savepoint where it is in one."""
    return client._in_transaction()


async def create_history(executor: MigrationExecutor) -> None:
    """Create the table of applied migrations.

    Tortoise reads the table before it creates it, which would abort a transaction.
    """
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
