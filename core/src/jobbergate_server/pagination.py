"""Lists: the envelope, pages, search, sorting, and the filters of a resource."""

from collections.abc import Callable, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any

import marshmallow as ma
from aiohttp import web
from aiohttp_apispec import docs, querystring_schema, response_schema
from tortoise import Model
from tortoise.expressions import Q, RawSQL
from tortoise.queryset import QuerySet

from jobbergate_server import fields
from jobbergate_server.database import DATABASE
from jobbergate_server.errors import BadRequest, InvalidRequest, Problem
from jobbergate_server.fields import Schema
from jobbergate_server.requests import QUERY
from jobbergate_server.responses import json_response
from jobbergate_server.settings import SETTINGS

MAX_OFFSET = 2**63 - 1
MAX_TERMS = 64
TOO_MANY_TERMS = Problem("value_error", f"at most {MAX_TERMS} search terms are allowed", {"limit_value": MAX_TERMS})


class ListParameters(Schema):
    """The query of every list; a resource derives its own to add filters."""

    start = fields.Integer(
        ge=0, le=None, description="The page, counted from 0. Without it, every row is answered.", example=0
    )
    limit = fields.Integer(gt=0, le=None, load_default=10, description="The most rows on a page.", example=50)
    search = fields.Text(description="Words of which a row must contain at least one, in any case.", example="fluid")
    sort_field = fields.Text(description="The field to sort by.", example="created_at")
    sort_ascending = fields.Boolean(load_default=True, description="False sorts from the largest value down.")


class Pagination(Schema):
    """Where a page stands in its list."""

    total = fields.Integer(
        required=True, ge=0, le=None, description="How many rows the filters let through.", example=1
    )
    start = fields.Integer(
        required=True, allow_none=True, ge=0, le=None, description="The page; null without paging.", example=0
    )
    limit = fields.Integer(
        required=True, allow_none=True, gt=0, le=None, description="The page's size; null without paging.", example=50
    )


class ListQuery:
    """The list of a resource, as a handler that a `Route` can serve.

    Rows come from ``model`` in the fields of ``schema``, whose `attribute` may lead to a related row
    (`application.application_name`). Only ``search`` fields are searched and only ``sort`` fields sorted by. ``where``
    gives the rows that a request may see, from its identity and its query, which ``parameters`` describe. Fields named
    in ``null`` are left null: what is too large for a list.
    """

    def __init__(  # noqa: PLR0913 - a list has that many sides, each named at the call
        self,
        model: type[Model],
        schema: type[Schema],
        *,
        search: Sequence[str],
        sort: Sequence[str],
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
        self._columns = {
            name: (field.attribute or name).replace(".", "__") for name, field in shown.items() if name not in null
        }
        self._names = list(shown)
        self._convert = {name: field for name, field in shown.items() if name not in null and not _is_plain(field)}

        table = model._meta.db_table  # noqa: SLF001 - Tortoise's documented way to the table
        self.__name__ = f"list_{table}"
        docs(summary=summary or f"List the {table.replace('_', ' ')}")(self)
        querystring_schema(parameters)(self)
        response_schema(_envelope(schema), description="A page of the list.")(self)

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer the page that the request's query asks for."""
        query = request[QUERY]
        rows = self._filtered(request)
        ordered = self._ordered(rows, query, nulls_last=request.app[DATABASE].is_sqlite)
        total = await rows.count()
        start, limit = query.get("start"), query["limit"]
        cap = request.app[SETTINGS].limits.max_page_size
        if start is None:
            start, limit = (0, cap) if total > cap else (None, None)
        elif total > cap:
            limit = min(limit, cap)
        results = await self._page(ordered, start, limit)
        return json_response({"results": results, "pagination": {"total": total, "start": start, "limit": limit}})

    def _filtered(self, request: web.Request) -> QuerySet[Model]:
        rows = self.model.filter(self.where(request)) if self.where else self.model.all()
        terms = set(request[QUERY].get("search", "").split())
        if len(terms) > MAX_TERMS:
            raise InvalidRequest([TOO_MANY_TERMS.entry(["query", "search"])])
        if terms:
            matches = (Q(**{f"{column}__icontains": term}) for term in sorted(terms) for column in self.search)
            rows = rows.filter(reduce(or_, matches))
        return rows

    def _ordered(self, rows: QuerySet[Model], query: dict[str, Any], *, nulls_last: bool) -> QuerySet[Model]:
        field = query.get("sort_field")
        if field is None:
            return rows.order_by("id")
        if field not in self.sort:
            raise BadRequest(f"Invalid sorting column requested: {field}. Must be one of {self.sort}")
        sign = "" if query["sort_ascending"] else "-"
        meta = self.model._meta  # noqa: SLF001 - Tortoise's documented way to the columns
        if nulls_last and meta.fields_map[field].null:
            # PostgreSQL counts NULL as the largest value, SQLite as the smallest.
            column = meta.fields_db_projection[field]
            rows = rows.annotate(is_null=RawSQL(f'"{meta.db_table}"."{column}" IS NULL'))
            return rows.order_by(f"{sign}is_null", f"{sign}{field}", "id")
        return rows.order_by(f"{sign}{field}", "id")

    async def _page(self, rows: QuerySet[Model], start: int | None, limit: int | None) -> list[dict[str, Any]]:
        if start is not None and limit is not None:
            offset = start * limit
            if offset > MAX_OFFSET:
                return []
            rows = rows.offset(offset).limit(min(limit, MAX_OFFSET))
        page = await rows.values(**self._columns)
        for row in page:
            for name, field in self._convert.items():
                row[name] = field._serialize(row[name], name, row)  # noqa: SLF001 - what a field overrides to be shown
        if len(self._names) == len(self._columns):
            return page
        return [{name: row.get(name) for name in self._names} for row in page]


@cache
def _envelope(schema: type[Schema]) -> type[ma.Schema]:
    envelope = {
        "results": fields.List(fields.Nested(schema), required=True),
        "pagination": fields.Nested(Pagination, required=True),
    }
    return Schema.from_dict(envelope, name=f"{schema.__name__.removesuffix('Schema')}List")


def _is_plain(field: object) -> bool:
    """Whether a value of the field goes into JSON as it comes from the database."""
    return isinstance(field, fields.PLAIN)
