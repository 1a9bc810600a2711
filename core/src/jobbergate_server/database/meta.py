"""Private names of Tortoise without a public replacement, for use outside this package."""

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
    """Yield the table of ``model``, and the join tables of its many-to-many relations."""
    yield model._meta.db_table
    for name in sorted(model._meta.m2m_fields):
        relation: Any = model._meta.fields_map[name]
        # The related model declares the relation too, and may belong to another plugin.
        if not relation._generated and relation.through:
            yield relation.through


def is_negated(q: Q) -> bool:
    """Return whether ``q`` is negated, which its `==` ignores."""
    return bool(q._is_negated)


def savepoint(client: BaseDBAsyncClient) -> AbstractAsyncContextManager[Any]:
    """Return a transaction of ``client``, or a savepoint inside a transaction."""
    return client._in_transaction()


async def create_history(executor: MigrationExecutor) -> None:
    """Create the table of applied migrations.

    Tortoise reads the table before it creates it, which would abort a transaction.
    """
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
