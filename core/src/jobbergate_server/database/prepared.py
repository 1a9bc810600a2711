"""Queries whose SQL is built once.

Tortoise takes longer to build the SQL of a query than PostgreSQL takes to execute it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tortoise import Model
from tortoise.queryset import CountQuery, QuerySet, ValuesQuery

Row = TypeVar("Row", bound=Model)


MARKER = 2_147_000_000
"""The first of the numbers that stand for values while a query is prepared; an int4 column can hold them."""


class Statement(NamedTuple):
    """A query as SQL, the values of its parameters, and whether it is to be planned for these values alone."""

    sql: str
    values: tuple[Any, ...]
    planned: bool = False


def compiled(query: "QuerySet[Any] | ValuesQuery[Any] | CountQuery") -> Statement:
    """The statement that Tortoise makes of ``query`` for the current database."""
    query._choose_db_if_not_chosen()  # noqa: SLF001 - no public call gives the values with the SQL
    query._make_query()  # noqa: SLF001 - likewise
    sql, values = query.query.get_parameterized_sql()
    return Statement(sql, tuple(values))


class _Prepared(NamedTuple):
    statement: Statement
    places: tuple[int, ...]
    related: list[Any]


class PreparedQuery(Generic[Row]):
    """Rows of ``model`` by values that differ from call to call, with SQL that is built at the first one.

    ``build`` makes the query for as many values. Each is compared with once, as it is: a text or a whole number. A call
    raises a ValueError when that is not so.

    >>> of_owner = PreparedQuery(Webhook, lambda owner: Webhook.filter(owner_email=owner))
    >>> webhooks = await of_owner("owner@example.com")
    """

    def __init__(self, model: type[Row], build: Callable[..., QuerySet[Row]]) -> None:
        self._model = model
        self._build = build
        self._prepared: dict[str, _Prepared] = {}

    async def __call__(self, *values: int | str) -> list[Row]:
        """The rows for ``values``, in the current transaction if there is one."""
        client = self._model._meta.db  # noqa: SLF001 - where Tortoise's own queries find it
        sql, bound, _ = self.statement(*values)
        related = self._prepared[client.connection_name].related
        executor = client.executor_class(self._model, client, select_related_idx=related)
        return cast("list[Row]", await executor.execute_select(sql, list(bound)))

    def statement(self, *values: int | str) -> Statement:
        """The query for ``values`` in the current database."""
        name = self._model._meta.db.connection_name  # noqa: SLF001 - likewise
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = self._prepared[name] = self._prepare(values)
        bound = list(prepared.statement.values)
        for place, value in zip(prepared.places, values, strict=True):
            bound[place] = value
        return Statement(prepared.statement.sql, tuple(bound))

    def _prepare(self, values: Sequence[int | str]) -> _Prepared:
        # Values of which no other is the equal show where in the statement each has its place.
        markers = [f"\x01{n}" if isinstance(value, str) else MARKER + n for n, value in enumerate(values)]
        query = self._build(*markers)
        statement = compiled(query)
        if [statement.values.count(marker) for marker in markers] != [1] * len(markers):
            raise ValueError(f"each value must be compared with once, and as it is: {statement.sql}")
        places = tuple(map(statement.values.index, markers))
        return _Prepared(statement, places, query._select_related_idx)  # noqa: SLF001 - what `execute_select` wants
