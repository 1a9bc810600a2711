"""The SQL of lists: Tortoise's conditions, and around them the page with its columns.

Tortoise takes longer to build a query than PostgreSQL takes to execute it. Lists therefore cache the SQL.
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
"""The SQL for a timestamp in the format of `timestamp`. In Python, a hundred of them take longer than their page."""
SQLITE = (int, str, float)
POSTGRESQL = (*SQLITE, bool)
"""Python types of columns whose values the driver returns unconverted."""


class Condition:
    """A hashable `Q`: two with the same filters are equal."""

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
    return type(value), value  # True and 1 are equal in Python but differ in SQL


class Columns:
    """The columns of a list, in one dialect of SQL.

    ``paths`` map names on the wire to columns: of ``model``, or of a row that it references
    (`application.application_name`). None is NULL. Timestamps are selected as the texts that clients receive.
    """

    def __init__(self, model: type[Model], paths: Mapping[str, str | None], *, is_sqlite: bool) -> None:
        table = meta(model)
        self._fields = table.fields_map
        self._columns = table.fields_db_projection
        self._is_sqlite = is_sqlite
        self.convert: dict[str, Callable[[Any], Any]] = {}
        """Functions that convert the driver's value of a column to Python, where the two differ."""
        self._select = ", ".join(
            f'{"NULL" if path is None else self._expression(name, model, path.split("."))} AS "{name}"'
            for name, path in paths.items()
        )

    def page(
        self, rows: QuerySet[Any], sort_field: str | None, *, ascending: bool, total: Statement | None = None
    ) -> Statement:
        """Return the statement for a page of ``rows``, sorted by ``sort_field`` and by id; NULL is the largest value.

        The caller appends two values to those of the statement: the limit and the offset. Skipped rows cost little,
        because the page is cut before lookups and conversions. With ``total``, each row ends with the number that
        this statement counts.
        """
        inner, values, _ = compiled(rows.order_by().values(**{column: name for name, column in self._columns.items()}))
        limit, offset = ("?", "?") if self._is_sqlite else (f"${len(values) + 1}", f"${len(values) + 2}")
        order = self._order(sort_field, ascending=ascending)
        cut = f"{inner} ORDER BY {', '.join(order)} LIMIT {limit} OFFSET {offset}"
        again = ", ".join(f"{PAGE}.{term}" for term in order)
        select = self._select
        if total is not None:
            select += f', ({total.sql}) AS "total"'
            # PostgreSQL's parameters are numbered, so that both statements share them.
            values = (*total.values, *values) if self._is_sqlite else values
        return Statement(f"SELECT {select} FROM ({cut}) AS {PAGE} ORDER BY {again}", values)  # noqa: S608 - of names and placeholders

    def _order(self, sort_field: str | None, *, ascending: bool) -> list[str]:
        if sort_field is None:
            return ['"id"']
        direction = "ASC" if ascending else "DESC"
        if self._fields[sort_field].null:
            # PostgreSQL's default. SQLite's default is the opposite, and its indexes do not have this order.
            direction += " NULLS LAST" if ascending else " NULLS FIRST"
        return [f'"{self._columns[sort_field]}" {direction}', '"id"']

    def _expression(self, name: str, model: type[Model], path: list[str], row: str = PAGE, depth: int = 1) -> str:
        """Return the SQL for the column at ``path`` from ``row`` of ``model``; store its conversion in `convert`."""
        table = meta(model)
        field = table.fields_map[path[0]]
        if len(path) == 1:
            return self._value(name, field, f'{row}."{table.fields_db_projection[path[0]]}"')
        relation = cast("ForeignKeyFieldInstance[Model]", field)
        related, target, alias = meta(relation.related_model), relation.to_field_instance, f'"related_{depth}"'
        key = f'{alias}."{target.source_field or target.model_field_name}"'
        foreign_key = f'{row}."{table.fields_db_projection[str(relation.source_field)]}"'
        inner = self._expression(name, relation.related_model, path[1:], alias, depth + 1)
        return f'(SELECT {inner} FROM "{related.db_table}" AS {alias} WHERE {key} = {foreign_key})'  # noqa: S608 - of names

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
