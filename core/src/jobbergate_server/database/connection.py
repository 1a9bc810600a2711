"""The connection to SQLite or PostgreSQL, and its transactions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext, _current_context
from tortoise.transactions import in_transaction as begin

from jobbergate_server import settings
from jobbergate_server.database import event_log
from jobbergate_server.database.postgresql import Client, fetch_planned
from jobbergate_server.database.single_insert import insert_alone
from jobbergate_server.database.transaction import Transaction, current
from jobbergate_server.events import NO_ORIGIN, Event, Origin

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


class _Bound(NamedTuple):
    """What the current task works with."""

    database: "Database"
    origin: Origin


_bound: ContextVar[_Bound] = ContextVar("bound")


def transaction() -> AbstractAsyncContextManager[None]:
    """Return one transaction of the current database, as `Database.transaction`; a request that writes has one.

    Raises:
        LookupError: The current task has no database.
    """
    return _bound.get().database.transaction()


class Database:
    """The database of one application: Tortoise's connection, usable in the tasks that enter `bound`.

    Every dialect has a connection name of its own, because Tortoise caches SQL by that name.
    """

    def __init__(
        self,
        config: settings.Database,
        apps: Mapping[str, Mapping[str, Any]],
        slugs: Mapping[str, str] | None = None,
        before_commit: Callable[[Event], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare to connect as ``config`` says.

        ``apps`` are Tortoise's, without their connection. ``slugs`` are those of the plugins, by the types of their
        events. Each event of a transaction is passed to ``before_commit``, whose exceptions roll it back.
        """
        self.url = url = config.url.get_secret_value()
        self.connection_name = url.partition(":")[0]
        self.config = {
            "connections": {self.connection_name: connection_config(url, config.pool_size)},
            "apps": {label: {**app, "default_connection": self.connection_name} for label, app in apps.items()},
        }
        self.committed: Callable[[], object] = bool
        """Called after each commit of a transaction with events."""
        self._slugs = slugs or {}
        self._before_commit = before_commit
        self._context: TortoiseContext | None = None

    @property
    def client(self) -> BaseDBAsyncClient:
        """The connection; the one of the transaction inside of one."""
        if self._context is None:
            raise RuntimeError("the database is not connected")
        return self._context.connections.get(self.connection_name)

    @property
    def credentials(self) -> dict[str, Any]:
        """How asyncpg reaches PostgreSQL."""
        given = self.config["connections"][self.connection_name]["credentials"]
        return {name: given[name] for name in ("host", "port", "ssl", "user", "password", "database")}

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
    def bound(self, origin: Origin = NO_ORIGIN) -> Iterator[None]:
        """Let the current task use this database, through the models too; events have ``origin`` as their cause."""
        if self._context is None:
            raise RuntimeError("the database is not connected")
        token, context = _bound.set(_Bound(self, origin)), _current_context.set(self._context)
        try:
            yield
        finally:
            _current_context.reset(context)
            _bound.reset(token)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Run one transaction, which is committed at the end and rolled back by an exception.

        Inside another one it is a part of it: it can be rolled back alone, but is committed with the whole.
        """
        outer = current.get(None)
        transaction = Transaction(outer.moment if outer else datetime.now(UTC))
        async with begin(self.connection_name):
            token = current.set(transaction)
            try:
                yield
                if outer is None:
                    await self._log(transaction)
            finally:
                current.reset(token)
        if outer:
            outer.emitted.extend(transaction.emitted)
        elif transaction.emitted:
            self.committed()

    async def freeze(self) -> None:
        """Let a transaction that has not begun see the database as it is now until its end.

        A write or a lock of a row that changed since then fails with `SerializationFailure`. On SQLite no other
        transaction writes meanwhile, because each has the write lock from its beginning.
        """
        if not self.is_sqlite:
            await self.client.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    async def insert(self, row: Model) -> None:
        """Insert a row unless it is stored already; nothing else is written in the current transaction after it.

        Where nothing was written before either, one statement inserts and commits the row and its events.

        Raises:
            IntegrityError: It conflicts with another row, or references one that does not exist.
            LookupError: The current task has no transaction.
        """
        transaction = current.get()
        if row._saved_in_db:  # noqa: SLF001 - no public attribute says it
            return
        transaction.is_logged = self._before_commit is None and await insert_alone(
            self.client, row, self._rows(transaction, transaction.events())
        )
        if not transaction.is_logged:
            await row.save()

    async def _log(self, transaction: Transaction) -> None:
        """Write the events of a transaction that ends, unless `insert` did, after plugins have agreed to each."""
        if transaction.is_logged:
            return
        events = []
        for event in transaction.events():  # also those that plugins emit meanwhile
            events.append(event)
            if self._before_commit is not None:
                await self._before_commit(event)
        if events:
            await event_log.append(self.client, self._rows(transaction, events))

    def _rows(self, transaction: Transaction, events: Iterable[Event]) -> list[list[Any]]:
        origin = _bound.get().origin if _bound.get(None) else NO_ORIGIN
        return [event_log.values(it, origin, transaction.moment, self._slugs.get(it.name)) for it in events]

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
            "engine": "jobbergate_server.database.sqlite",
            "credentials": {"file_path": str(path), "synchronous": "NORMAL", "busy_timeout": SQLITE_TIMEOUT},
        }
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "engine": "jobbergate_server.database.postgresql",
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
