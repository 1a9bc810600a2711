"""The SQL of lists: the conditions as Tortoise writes them, and around them the page with its columns.

To build the SQL of a query takes Tortoise longer than PostgreSQL takes to answer it, so whoever asks the same again
gets what was built before. This is the only module that calls what Tortoise keeps to itself.
"""

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from tortoise import Model
from tortoise.expressions import Q
from tortoise.fields import DatetimeField, Field
from tortoise.queryset import QuerySet

from jobbergate_server.database.meta import is_negated, meta
from jobbergate_server.database.prepared import Statement, compiled
from jobbergate_server.http.responses import timestamp

if TYPE_CHECKING:
    from tortoise.fields.relational import ForeignKeyFieldInstance


PAGE = '"page"'
MOMENT = """replace(to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '')"""
"""A moment as `timestamp` writes it. To make a hundred moments in Python takes longer than the rest of a page."""
SQLITE = (int, str, float)
POSTGRESQL = (*SQLITE, bool)
"""Types of columns that the driver answers as they are in Python."""


class Condition:
    """A `Q` that can be the key of a dictionary: equal to those that say the same of a row."""

    def __init__(self, q: Q) -> None:
        self.q = q
        self._key = _key(q)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _key(value: object) -> Hashable:
    if isinstance(value, Q):
        filters = tuple((name, _key(inner)) for name, inner in value.filters.items())
        return value.join_type, is_negated(value), filters, tuple(map(_key, value.children))
    if isinstance(value, list | tuple | set):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(inner)) for name, inner in value.items())
    return type(value), value  # True is not asked for as 1 is, though they are equal


class Columns:
    """The columns of a list, in one dialect of SQL.

    ``paths`` say where they come from, by their names on the wire: columns of ``model``, or of a row that it points to
    (`application.application_name`). None stands for NULL. Moments are selected as the texts that clients get.
    """

    def __init__(self, model: type[Model], paths: Mapping[str, str | None], *, is_sqlite: bool) -> None:
        table = meta(model)
        self._fields = table.fields_map
        self._columns = table.fields_db_projection
        self._is_sqlite = is_sqlite
        self.convert: dict[str, Callable[[Any], Any]] = {}
        """What makes of the driver's value of a column the one in Python, where they differ."""
        self._select = ", ".join(
            f'{"NULL" if path is None else self._expression(name, model, path.split("."))} AS "{name}"'
            for name, path in paths.items()
        )

    def page(
        self, rows: QuerySet[Any], sort_field: str | None, *, ascending: bool, total: Statement | None = None
    ) -> Statement:
        """The page of ``rows`` by ``sort_field``, NULL being the largest value, and among equals by id.

        Two values are to be added to those of the statement: the limit and the offset. What is skipped costs little,
        because the page is cut before anything is looked up or converted for its rows. With ``total``, each row has
        the number that this counts as one more value at its end.
        """
        inner, values, _ = compiled(rows.order_by().values(**{column: name for name, column in self._columns.items()}))
        limit, offset = ("?", "?") if self._is_sqlite else (f"${len(values) + 1}", f"${len(values) + 2}")
        order = self._order(sort_field, ascending=ascending)
        cut = f"{inner} ORDER BY {', '.join(order)} LIMIT {limit} OFFSET {offset}"
        again = ", ".join(f"{PAGE}.{term}" for term in order)
        select = self._select
        if total is not None:
            select += f', ({total.sql}) AS "total"'
            # PostgreSQL's parameters have numbers, which are the same in both.
            values = (*total.values, *values) if self._is_sqlite else values
        return Statement(f"SELECT {select} FROM ({cut}) AS {PAGE} ORDER BY {again}", values)  # noqa: S608 - of names and placeholders

    def _order(self, sort_field: str | None, *, ascending: bool) -> list[str]:
        if sort_field is None:
            return ['"id"']
        direction = "ASC" if ascending else "DESC"
        if self._fields[sort_field].null:
            # As PostgreSQL has it by itself; SQLite has it the other way round, and no index for this order.
            direction += " NULLS LAST" if ascending else " NULLS FIRST"
        return [f'"{self._columns[sort_field]}" {direction}', '"id"']

    def _expression(self, name: str, model: type[Model], path: list[str], row: str = PAGE, depth: int = 1) -> str:
        """The column that ``path`` leads to from ``row`` of ``model``, and what `convert` has to know of it."""
        table = meta(model)
        field = table.fields_map[path[0]]
        if len(path) == 1:
            return self._value(name, field, f'{row}."{table.fields_db_projection[path[0]]}"')
        relation = cast("ForeignKeyFieldInstance[Model]", field)
        related, target, alias = meta(relation.related_model), relation.to_field_instance, f'"related_{depth}"'
        key = f'{alias}."{target.source_field or target.model_field_name}"'
        points_to = f'{row}."{table.fields_db_projection[str(relation.source_field)]}"'
        inner = self._expression(name, relation.related_model, path[1:], alias, depth + 1)
        return f'(SELECT {inner} FROM "{related.db_table}" AS {alias} WHERE {key} = {points_to})'  # noqa: S608 - of names

    def _value(self, name: str, field: Field[Any], column: str) -> str:
        if isinstance(field, DatetimeField):
            if not self._is_sqlite:
                return MOMENT.format(column)
            self.convert[name] = partial(_text, field)
        elif field.field_type not in (SQLITE if self._is_sqlite else POSTGRESQL) or (
            type(field).to_python_value is not Field.to_python_value
        ):
            self.convert[name] = field.to_python_value
        return column


def _text(field: DatetimeField[datetime], value: str | None) -> str | None:
    moment = field.to_python_value(value)
    return None if moment is None else timestamp(moment)
