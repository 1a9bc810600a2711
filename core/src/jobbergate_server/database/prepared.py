"""Queries whose SQL is built once.

Tortoise needs more time to build the SQL of a query than PostgreSQL to execute it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tortoise import Model
from tortoise.queryset import CountQuery, QuerySet, ValuesQuery

Row = TypeVar("Row", bound=Model)


FIRST_MARKER = 2_147_000_000
"""The first of the numbers that replace values in a query to prepare; they fit into an int4 column."""


class Statement(NamedTuple):
    """A query as SQL, the values of its parameters, and whether PostgreSQL plans it for these values."""

    sql: str
    values: tuple[Any, ...]
    planned: bool = False


def compiled(query: "QuerySet[Any] | ValuesQuery[Any] | CountQuery") -> Statement:
    """Return Tortoise's statement of ``query`` for the current database."""
    query._choose_db_if_not_chosen()  # noqa: SLF001 - no public call returns the values with the SQL
    query._make_query()  # noqa: SLF001 - likewise
    sql, values = query.query.get_parameterized_sql()
    return Statement(sql, tuple(values))


class _Prepared(NamedTuple):
    statement: Statement
    places: tuple[int, ...]
    related: list[Any]


class PreparedQuery(Generic[Row]):
    """A query for rows of ``model`` by values that differ between calls, with SQL that the first call builds.

    ``build`` returns the query for the values. The query must compare each value exactly once, and without conversion:
    a string or an integer. Otherwise a call raises a ValueError.

    >>> of_owner = PreparedQuery(Webhook, lambda owner: Webhook.filter(owner_email=owner))
    >>> webhooks = await of_owner("owner@example.com")
    """

    def __init__(self, model: type[Row], build: Callable[..., QuerySet[Row]]) -> None:
        self._model = model
        self._build = build
        self._prepared: dict[str, _Prepared] = {}

    async def __call__(self, *values: int | str) -> list[Row]:
        """Return the rows for ``values``, in the current transaction if one is active."""
        client = self._model._meta.db  # noqa: SLF001 - as Tortoise's own queries do
        sql, bound, _ = self.statement(*values)
        related = self._prepared[client.connection_name].related
        executor = client.executor_class(self._model, client, select_related_idx=related)
        return cast("list[Row]", await executor.execute_select(sql, list(bound)))

    def statement(self, *values: int | str) -> Statement:
        """Return the statement for ``values`` in the current database."""
        name = self._model._meta.db.connection_name  # noqa: SLF001 - likewise
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = self._prepared[name] = self._prepare(values)
        bound = list(prepared.statement.values)
        for place, value in zip(prepared.places, values, strict=True):
            bound[place] = value
        return Statement(prepared.statement.sql, tuple(bound))

    def _prepare(self, values: Sequence[int | str]) -> _Prepared:
        # Unique markers show the position of each value in the statement.
        markers = [f"\x01{n}" if isinstance(value, str) else FIRST_MARKER + n for n, value in enumerate(values)]
        query = self._build(*markers)
        statement = compiled(query)
        if [statement.values.count(marker) for marker in markers] != [1] * len(markers):
            raise ValueError(f"the query must compare each value once and without conversion: {statement.sql}")
        places = tuple(map(statement.values.index, markers))
        return _Prepared(statement, places, query._select_related_idx)  # noqa: SLF001 - as `execute_select` requires
