"""The connection to SQLite or PostgreSQL, and one transaction a request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web
from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext, _current_context, require_context
from tortoise.fields import OnDelete
from tortoise.queryset import QuerySet
from tortoise.transactions import in_transaction as begin

from jobbergate_server import settings
from jobbergate_server.events import Event
from jobbergate_server.fields import INT4_MAX
from jobbergate_server.insertion import insert_alone
from jobbergate_server.postgresql import Client, fetch_planned
from jobbergate_server.statements import PreparedQuery, Row, Statement

if TYPE_CHECKING:
    from tortoise.fields.relational import ForeignKeyFieldInstance

    from jobbergate_server.journal import Journal

FINDERS = 1_000
"""How many kinds of rows `find` keeps the SQL for."""
STATEMENT_SECONDS = 20.0
"""How long PostgreSQL may take for a statement of a request, or for all of a transaction."""
SQLITE_TIMEOUT = 5000
"""Milliseconds that a statement waits for another process to finish its write."""


class _Counted(Protocol):
    """What this server's own backends have besides Tortoise's interface."""

    def connections(self) -> tuple[int, int]:
        """How many connections there are, and how many of them are idle."""

    @property
    def writes(self) -> int:
        """A number that has changed when a write of this process can be seen by everybody."""


@dataclass(slots=True)
class _Transaction:
    """What a transaction keeps until its end: when it began, and what plugins are told once it is committed."""

    moment: datetime
    events: list[Event | Callable[[], Event]] = field(default_factory=list)
    is_recorded: bool = False
    """Whether nobody has anything to write down for the events."""


_transaction: ContextVar[_Transaction] = ContextVar("transaction")
_database: ContextVar["Database"] = ContextVar("database")


def now() -> datetime:
    """The time of the current transaction: the same for everything that one request writes."""
    transaction = _transaction.get(None)
    return transaction.moment if transaction else datetime.now(UTC)


def emit(event: Event | Callable[[], Event]) -> None:
    """Tell the plugins of ``event`` as soon as the current transaction is committed, and not if it is rolled back.

    A function makes the event of a row that is inserted later, when the handler has returned it. It may be called
    before as well, and does nothing but read.

    Raises:
        LookupError: There is no transaction.
    """
    _transaction.get().events.append(event)


def transaction() -> AbstractAsyncContextManager[None]:
    """One transaction of the current database, as `Database.transaction`; a request that writes is in one already.

    Raises:
        LookupError: There is no current database.
    """
    return _database.get().transaction()


def in_transaction() -> bool:
    """Whether the current task is inside of a transaction."""
    return _transaction.get(None) is not None


class Database:
    """The database of one application: Tortoise's connection, usable in the tasks that enter `bound`.

    Every dialect has a connection name of its own, because Tortoise caches SQL by that name.
    """

    def __init__(self, config: settings.Database, apps: dict[str, dict[str, Any]]) -> None:
        """Prepare to connect as ``config`` says; ``apps`` are Tortoise's, without their connection."""
        self.url = url = config.url.get_secret_value()
        self.connection_name = url.partition(":")[0]
        self.config = {
            "connections": {self.connection_name: connection_config(url, config.pool_size)},
            "apps": {label: {**app, "default_connection": self.connection_name} for label, app in apps.items()},
        }
        self.record: Callable[[Event], Awaitable[None]] | None = None
        """What each event of a transaction is handed to inside of it, before it is committed."""
        self.publish: Callable[[Iterable[Event]], object] = list
        """What the events of a transaction are handed to when it is committed."""
        self.journals: Callable[[], Sequence[Journal]] = tuple
        """The tables in which every event leaves a row."""
        self.subscriptions: Callable[[], Sequence[PreparedQuery[Any]] | None] = tuple
        """The queries, by the owner of what an event is about, that find nothing when nothing is to be recorded.

        None where it cannot be known before.
        """
        self._context: TortoiseContext | None = None

    @property
    def client(self) -> BaseDBAsyncClient:
        """The connection; the one of the transaction inside of one."""
        if self._context is None:
            raise RuntimeError("the database is not connected")
        return self._context.connections.get(self.connection_name)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.connection_name == "sqlite"

    @asynccontextmanager
    async def connected(self, *, is_served: bool = False) -> AsyncIterator[None]:
        """Connect, and disconnect in the end.

        Of a server, PostgreSQL keeps no transaction of which it hears nothing for `STATEMENT_SECONDS`. A command may
        take its time.
        """
        context = TortoiseContext()
        with _entered(context):
            await context.init(config=self.config)
        self._context = context
        if is_served and isinstance(self.client, Client):
            self.client.idle_seconds = STATEMENT_SECONDS
        try:
            yield
        finally:
            self._context = None
            with _entered(context):
                await context.close_connections()

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Let the models use this database in the current task."""
        if self._context is None:
            raise RuntimeError("the database is not connected")
        token, context = _database.set(self), _current_context.set(self._context)
        try:
            yield
        finally:
            _current_context.reset(context)
            _database.reset(token)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """One transaction, committed at the end and rolled back by an exception.

        Inside of another one it is a part of it: it can be rolled back by itself, but is committed with the whole.
        """
        outer = _transaction.get(None)
        transaction = _Transaction(outer.moment if outer else datetime.now(UTC))
        async with begin(self.connection_name):
            token = _transaction.set(transaction)
            try:
                yield
                events = [] if outer else await self._recorded(transaction)
            finally:
                _transaction.reset(token)
        if outer:
            outer.events.extend(transaction.events)
        else:
            self.publish(events)

    async def freeze(self) -> None:
        """Let a transaction that has not begun see the database as it is now until its end.

        When it writes, or locks, what others have changed since then, it fails with `Overtaken`. On SQLite there are no
        others, because a transaction has the write lock from its beginning.
        """
        if not self.is_sqlite:
            await self.client.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    async def insert(self, row: Model) -> None:
        """Insert a new row, after which nothing else is written in the current transaction.

        Where nothing was written before either, and nobody has anything to write down for what plugins are told, the
        row is committed at once: one way to the database and back instead of four.

        Raises:
            IntegrityError: It contradicts another row, or points to one that does not exist.
            LookupError: There is no transaction.
        """
        transaction = _transaction.get()
        events = list(_made(transaction.events))
        subscriptions = self._subscriptions(events)
        client = self.client
        entries = (journal.entry(client, event) for journal in self.journals() for event in events)
        if subscriptions is not None and await insert_alone(client, row, subscriptions, entries):
            transaction.is_recorded = True
        else:
            await row.save()

    def _subscriptions(self, events: Iterable[Event]) -> list[Statement] | None:
        """The queries for the rows that make plugins write something down; None where that cannot be known."""
        queries = self.subscriptions()
        owners = {event.data.get("owner_email") for event in events}
        if queries is None or (queries and not all(owners)):
            return None
        return [query.statement(owner) for query in queries for owner in owners if owner]

    async def _recorded(self, transaction: _Transaction) -> list[Event]:
        """The events of a transaction that ends, after plugins have written down what they ask for."""
        events: list[Event] = []
        for event in _made(transaction.events):  # also those that are added meanwhile
            events.append(event)
            if self.record is not None and not transaction.is_recorded:
                await self.record(event)
        if not transaction.is_recorded:
            for journal in self.journals():
                await journal.write(self.client, events)
        return events

    async def limit_statements(self) -> None:
        """Let statements and transactions fail with `Unavailable` that take longer than `STATEMENT_SECONDS`.

        On SQLite there is nobody to wait for but who writes at the same time, which has a limit of its own.
        """
        if isinstance(self.client, Client):
            await self.client.limit(STATEMENT_SECONDS)

    def statistics(self) -> dict[str, float]:
        """How many connections this process holds, and how many of them nobody uses at the moment."""
        held, idle = cast("_Counted", self.client).connections()
        return {"database_connections": held, "database_connections_idle": idle}

    @property
    def writes(self) -> int:
        """A number that has changed when a write of this process can be seen by everybody."""
        return cast("_Counted", self.client).writes

    async def fetch(self, sql: str, values: Sequence[object], *, planned: bool = False) -> Sequence[Any]:
        """The rows of a query, as the driver gives them: their values by the names and the positions of the columns.

        A query is ``planned`` when the best way to its rows depends on the values, as that of a search does.
        """
        if planned and not self.is_sqlite:
            return await fetch_planned(self.client, sql, values)
        _, rows = await self.client.execute_query(sql, list(values))
        return rows

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            Exception: Whatever the driver raises when it cannot be reached.
        """
        await self.client.execute_query("SELECT 1")


DATABASE: web.AppKey[Database] = web.AppKey("database", Database)


def _made(events: Iterable[Event | Callable[[], Event]]) -> Iterator[Event]:
    return (event() if callable(event) else event for event in events)


@contextmanager
def _entered(context: TortoiseContext) -> Iterator[None]:
    # Entering the context itself is not possible in two tasks at a time: it keeps the reset token on itself.
    token = _current_context.set(context)
    try:
        yield
    finally:
        _current_context.reset(token)


def connection_config(url: str, pool_size: int) -> dict[str, Any]:
    """Tortoise's description of the connection to ``url``.

    A PostgreSQL URL may carry `host` (the directory of a Unix socket) and `sslmode`, as in libpq.
    """
    if url.startswith("sqlite:"):
        path = settings.path_of(url)
        return {
            "engine": "jobbergate_server.sqlite",
            "credentials": {"file_path": str(path), "synchronous": "NORMAL", "busy_timeout": SQLITE_TIMEOUT},
        }
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "engine": "jobbergate_server.postgresql",
        "credentials": {
            "host": options.get("host", parts.hostname),
            "port": parts.port or 5432,
            "ssl": options.get("sslmode"),
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": unquote(parts.path.lstrip("/")),
            "minsize": 0,  # with more, asyncpg tries by itself to replace those that were lost, and logs each failure
            "maxsize": pool_size,
            "server_settings": {"timezone": "UTC", "application_name": "jobbergate-server"},
        },
    }


async def find(model: type[Row], row_id: int, *related: str, lock: bool = False) -> Row | None:
    """The row with this id, with the rows that it points to by the names in ``related``; None when there is none.

    Any integer is a fair question, also one that no id column can hold. With ``lock`` nobody else changes the row until
    the transaction ends.
    """
    if not 0 < row_id <= INT4_MAX:
        return None
    rows = await _finder(model, related, lock)(row_id)
    return rows[0] if rows else None


@lru_cache(FINDERS)
def _finder(model: type[Row], related: tuple[str, ...], lock: bool) -> PreparedQuery[Row]:  # noqa: FBT001 - `lru_cache` has it by position
    def by_id(row_id: int) -> QuerySet[Row]:
        rows = model.filter(id=row_id).select_related(*related)
        return rows.select_for_update(of=(model._meta.db_table,)) if lock else rows  # noqa: SLF001 - Tortoise's documented way to the table

    return PreparedQuery(model, by_id)


async def delete_row(row: Model) -> None:
    """Delete the row. Rows that point to it with `SET_NULL` stay without it, and their `updated_at` is renewed."""
    for model in current_models():
        meta = model._meta  # noqa: SLF001 - Tortoise's documented way to the columns
        for name in meta.fk_fields:
            field = cast("ForeignKeyFieldInstance[Model]", meta.fields_map[name])
            if field.related_model is type(row) and field.on_delete == OnDelete.SET_NULL:
                changes = {f"{name}_id": None, **({"updated_at": now()} if "updated_at" in meta.fields_map else {})}
                await model.filter(**{f"{name}_id": row.pk}).update(**changes)
    await row.delete()


def current_models() -> Iterator[type[Model]]:
    """The models of all plugins of the current application."""
    for models in (require_context().apps or {}).values():
        yield from models.values()
