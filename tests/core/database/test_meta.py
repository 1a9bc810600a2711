"""The private names of Tortoise that this server uses exist; a new version that changes one fails here first."""

from __future__ import annotations

import pytest
from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Q
from tortoise.fields.relational import ManyToManyFieldInstance
from tortoise.migrations.executor import MigrationExecutor
from tortoise.queryset import QuerySet

from jobbergate_server.database.models import EventRecord

PRIVATE = {
    "_meta": EventRecord,
    "_in_transaction": BaseDBAsyncClient,
    "_schema_editor": MigrationExecutor,
    "_choose_db_if_not_chosen": QuerySet,
    "_make_query": QuerySet,
}


@pytest.mark.parametrize("name", PRIVATE)
def test_tortoise_has_the_private_name(name: str) -> None:
    assert hasattr(PRIVATE[name], name)


def test_instances_have_the_private_names() -> None:
    assert hasattr(EventRecord(), "_saved_in_db")
    assert hasattr(Q(), "_is_negated")
    assert hasattr(ManyToManyFieldInstance("service.EventRecord", through="between"), "_generated")


def test_the_columns_of_a_model_are_known_by_these_names() -> None:
    assert issubclass(EventRecord, Model)
    meta = EventRecord._meta  # noqa: SLF001 - what is tested
    assert meta.db_table == "events"
    assert meta.db_pk_column == "id"
    assert meta.fields_db_projection["type"] == "type"
    assert set(meta.fields_map) > {"id", "data"}
    assert (meta.m2m_fields, meta.fk_fields, meta.abstract) == (set(), set(), False)
