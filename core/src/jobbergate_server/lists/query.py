"""Lists: the envelope, pages, search, sorting, and the filters of a resource."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial, reduce
from operator import or_
from typing import Any, NamedTuple

import marshmallow as ma
from aiohttp import web
from aiohttp_apispec import docs, querystring_schema, response_schema
from tortoise import Model
from tortoise.expressions import Q

from jobbergate_server.database.meta import meta
from jobbergate_server.database.prepared import Statement, compiled
from jobbergate_server.errors import BadRequest, FieldError, InvalidRequest
from jobbergate_server.http import fields
from jobbergate_server.http.fields import Schema
from jobbergate_server.http.keys import DATABASE, SETTINGS
from jobbergate_server.http.requests import QUERY
from jobbergate_server.http.responses import json_response
from jobbergate_server.lists.sql import Columns, Condition
from jobbergate_server.lists.totals import TOTALS

MAX_OFFSET = 2**63 - 1
MAX_TERMS = 64
CACHED_QUERIES = 1_000
"""Number of queries of one list whose SQL is cached."""
TOO_MANY_TERMS = FieldError("value_error", f"at most {MAX_TERMS} search terms are allowed", {"limit_value": MAX_TERMS})


class ListParameters(Schema):
    """The query parameters of every list; a resource derives a class to add filters."""

    start = fields.Integer(
        ge=0, le=None, description="Page number, from 0. Without it, the response contains every row.", example=0
    )
    limit = fields.Integer(gt=0, le=None, load_default=10, description="Maximum number of rows on a page.", example=50)
    search = fields.Text(
        description="Search terms. A row matches if it contains one of them, in any case.", example="fluid"
    )
    sort_field = fields.Text(description="Field to sort by.", example="created_at")
    sort_ascending = fields.Boolean(load_default=True, description="False sorts in descending order.")


class Pagination(Schema):
    """The position of a page in its list."""

    total = fields.Integer(
        required=True, ge=0, le=None, description="Number of rows that match the filters.", example=1
    )
    start = fields.Integer(
        required=True, allow_none=True, ge=0, le=None, description="Page number; null without paging.", example=0
    )
    limit = fields.Integer(
        required=True, allow_none=True, gt=0, le=None, description="Page size; null without paging.", example=50
    )


class _Query(NamedTuple):
    """The parts of a request that determine the SQL of a list: all but the page."""

    where: Condition
    terms: tuple[str, ...]
    sort_field: str | None
    ascending: bool
    is_sqlite: bool


class _Statements(NamedTuple):
    """The SQL of a query: the page without and with the total, and the total alone."""

    page: Statement
    counted_page: Statement
    total: Statement


class ListQuery:
    """The list of a resource, as a handler that a `Route` can serve.

    Rows come from ``model``, in the fields of ``schema``. The `attribute` of a field may be a column of a related row
    (`application.application_name`). Only the ``search`` fields are searched, and only the ``sort`` fields are sorted
    by. ``where`` returns the filter for the rows that a request may see, from its identity and its query.
    ``parameters`` describe that query. Fields in ``null`` are always null, such as values too large for a list.
    ``name`` replaces the table's name in the API document.
    """

    def __init__(  # noqa: PLR0913 - each part of a list is named at the call
        self,
        model: type[Model],
        schema: type[Schema],
        *,
        search: Sequence[str],
        sort: Sequence[str],
        name: str | None = None,
        summary: str | None = None,
        parameters: type[ListParameters] = ListParameters,
        where: Callable[[web.Request], Q] | None = None,
        null: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.search = tuple(search)
        self.sort = list(sort)
        self.where = where
        shown = schema().dump_fields
        self._paths = {name: None if name in null else field.attribute or name for name, field in shown.items()}
        self._fields = {name: field for name, field in shown.items() if name not in null and not _is_plain(field)}
        self._columns = cache(self._columns_of)
        self._statements = lru_cache(CACHED_QUERIES)(self._build)

        name = name or meta(model).db_table
        self.__name__ = f"list_{name}"
        docs(summary=summary or f"List the {name.replace('_', ' ')}")(self)
        querystring_schema(parameters)(self)
        response_schema(_envelope(schema), description="A page of the list.")(self)

    async def __call__(self, request: web.Request) -> web.Response:
        """Return the page that the query selects."""
        query, cap = request[QUERY], request.app[SETTINGS].limits.max_page_size
        start, limit = query.get("start"), query["limit"]
        size = cap if start is None else min(limit, cap)
        offset = (start or 0) * size
        selected = self._query(request)
        rows, total = await self._fetch(request, self._statements(selected), size, offset)
        if start is None:
            start, limit = (0, cap) if total > cap else (None, None)
        elif total > cap:
            limit = size
        results = self._results(rows, self._columns(selected.is_sqlite))
        pagination = {"total": total, "start": start, "limit": limit}
        return json_response({"results": results, "pagination": pagination})

    async def _fetch(
        self, request: web.Request, statements: _Statements, size: int, offset: int
    ) -> tuple[Sequence[Any], int]:
        """Return the rows of the page and the total number of rows."""
        totals = request.app[TOTALS]
        sql, values, planned = statements.page if totals.are_shared else statements.counted_page
        fetch = partial(request.app[DATABASE].fetch, sql, (*values, size, offset), planned=planned)
        rows = await fetch() if offset <= MAX_OFFSET else ()
        if 0 < len(rows) < size or not (rows or offset):  # the last page: its end is the total
            return rows, offset + len(rows)
        if rows and not totals.are_shared:
            return rows, rows[0][-1]
        return rows, await totals.total(statements.total)

    def _query(self, request: web.Request) -> _Query:
        query = request[QUERY]
        sort_field = query.get("sort_field")
        if sort_field is not None and sort_field not in self.sort:
            raise BadRequest(f"Invalid sorting column requested: {sort_field}. Must be one of {self.sort}")
        terms = set(query.get("search", "").split())
        if len(terms) > MAX_TERMS:
            raise InvalidRequest([TOO_MANY_TERMS.entry(["query", "search"])])
        where = Condition(self.where(request) if self.where else Q())
        is_sqlite = request.app[DATABASE].is_sqlite
        return _Query(where, tuple(sorted(terms)), sort_field, query["sort_ascending"], is_sqlite)

    def _build(self, query: _Query) -> _Statements:
        rows = self.model.filter(query.where.q)
        if query.terms:
            matches = (Q(**{f"{column}__icontains": term}) for term in query.terms for column in self.search)
            rows = rows.filter(reduce(or_, matches))
        columns = self._columns(query.is_sqlite)
        total = compiled(rows.count())
        page = partial(columns.page, rows, query.sort_field, ascending=query.ascending)
        planned = bool(query.terms)
        return _Statements(*(it._replace(planned=planned) for it in (page(), page(total=total), total)))

    def _columns_of(self, is_sqlite: bool) -> Columns:  # noqa: FBT001 - `cache` needs it by position
        return Columns(self.model, self._paths, is_sqlite=is_sqlite)

    def _results(self, rows: Sequence[Any], columns: Columns) -> list[dict[str, Any]]:
        results = [dict(zip(self._paths, row, strict=False)) for row in rows]
        for name, convert in columns.convert.items():
            for row in results:
                row[name] = convert(row[name])
        for name, field in self._fields.items():
            for row in results:
                row[name] = field._serialize(row[name], name, row)  # noqa: SLF001 - the method that a field overrides for its output
        return results


@cache
def _envelope(schema: type[Schema]) -> type[ma.Schema]:
    envelope = {
        "results": fields.List(fields.Nested(schema), required=True),
        "pagination": fields.Nested(Pagination, required=True),
    }
    return Schema.from_dict(envelope, name=f"{schema.__name__.removesuffix('Schema')}List")


def _is_plain(field: object) -> bool:
    """Return whether JSON contains the field's value exactly as the database returns it."""
    return isinstance(field, fields.PLAIN) and any(
        type(field)._serialize is plain._serialize  # noqa: SLF001 - the method that a field overrides for its output
        for plain in fields.PLAIN
    )
