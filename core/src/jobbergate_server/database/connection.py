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
"""The time limit of PostgreSQL for a statement of a request, and for a whole transaction."""
SQLITE_BUSY_MILLISECONDS = 5000
"""The time that a statement waits for the write lock of another process (`busy_timeout`)."""


class _Counted(Protocol):
    """The additions of this server's backends to Tortoise's interface."""

    def connections(self) -> tuple[int, int]:
        """Return the number of connections, and of idle ones."""

    @property
    def writes(self) -> int:
        """A number that changes when a write of this process becomes visible."""


class _Bound(NamedTuple):
    """The database and the origin of events in the current task."""

    database: "Database"
    origin: Origin


_bound: ContextVar[_Bound] = ContextVar("bound")


def transaction() -> AbstractAsyncContextManager[None]:
    """Return one transaction of the current database, as `Database.transaction`; each writing request runs in one.

    Raises:
        LookupError: The current task has no database.
    """
    return _bound.get().database.transaction()


class Database:
    """The database of one application: Tortoise's connection, usable in the tasks that enter `bound`.

    Each dialect uses its own connection name, because Tortoise caches SQL by that name.
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
        """The connection; inside a transaction, the connection of that transaction."""
        if self._context is None:
            raise RuntimeError("the database is not connected")
        return self._context.connections.get(self.connection_name)

    @property
    def credentials(self) -> dict[str, Any]:
        """Arguments of asyncpg that connect to PostgreSQL."""
        given = self.config["connections"][self.connection_name]["credentials"]
        return {name: given[name] for name in ("host", "port", "ssl", "user", "password", "database")}

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.connection_name == "sqlite"

    @asynccontextmanager
    async def connected(self, *, is_served: bool = False) -> AsyncIterator[None]:
        """Connect, and disconnect in the end.

        With ``is_served``, PostgreSQL ends each transaction that is idle for `STATEMENT_SECONDS`. A command runs
        without that limit.
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
        """Let the current task use this database, also through the models; its events are logged with ``origin``."""
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

        A nested transaction is a savepoint: it can be rolled back alone, and is committed with the outer one.
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
        """Read one snapshot of the database until the end of a transaction that runs its first statement now.

        Writing or locking a row that another transaction changed since then raises `SerializationFailure`. On SQLite
        that cannot happen, because a transaction holds the write lock from its beginning.
        """
        if not self.is_sqlite:
            await self.client.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    async def insert(self, row: Model) -> None:
        """Insert a row unless it is stored already, as the last write of the current transaction.

        If it is also the first one, a single statement inserts and commits the row and its events.

        Raises:
            IntegrityError: The row conflicts with another one, or references one that does not exist.
            LookupError: The current task has no transaction.
        """
        transaction = current.get()
        if row._saved_in_db:  # noqa: SLF001 - Tortoise offers no public attribute
            return
        transaction.is_logged = self._before_commit is None and await insert_alone(
            self.client, row, self._rows(transaction, transaction.events())
        )
        if not transaction.is_logged:
            await row.save()

    async def _log(self, transaction: Transaction) -> None:
        """Insert the events of the ending transaction, unless `insert` did; call ``before_commit`` for each before."""
        if transaction.is_logged:
            return
        events = []
        for event in transaction.events():  # including events that plugins emit meanwhile
            events.append(event)
            if self._before_commit is not None:
                await self._before_commit(event)
        if events:
            await event_log.append(self.client, self._rows(transaction, events))

    def _rows(self, transaction: Transaction, events: Iterable[Event]) -> list[list[Any]]:
        origin = _bound.get().origin if _bound.get(None) else NO_ORIGIN
        return [event_log.values(it, origin, transaction.moment, self._slugs.get(it.name)) for it in events]

    async def limit_statements(self) -> None:
        """Raise `Unavailable` in statements and transactions that run longer than `STATEMENT_SECONDS`.

        SQLite has no such limit: writers wait on `busy_timeout` instead.
        """
        if isinstance(self.client, Client):
            await self.client.limit(STATEMENT_SECONDS)

    def statistics(self) -> dict[str, float]:
        """Return the number of connections that this process holds, and of idle ones."""
        held, idle = cast("_Counted", self.client).connections()
        return {"database_connections": held, "database_connections_idle": idle}

    @property
    def writes(self) -> int:
        """A number that changes when a write of this process becomes visible."""
        return cast("_Counted", self.client).writes

    async def fetch(self, sql: str, values: Sequence[object], *, planned: bool = False) -> Sequence[Any]:
        """Return the rows of a query, as the driver does: values by the names and positions of the columns.

        Set ``planned`` for a query whose best plan depends on the values, such as a search.
        """
        if planned and not self.is_sqlite:
            return await fetch_planned(self.client, sql, values)
        _, rows = await self.client.execute_query(sql, list(values))
        return rows

    async def ping(self) -> None:
        """Execute a trivial query.

        Raises:
            Exception: The driver cannot reach the database.
        """
        await self.client.execute_query("SELECT 1")


@contextmanager
def _entered(context: TortoiseContext) -> Iterator[None]:
    # Two tasks cannot enter the context itself: it stores one reset token.
    token = _current_context.set(context)
    try:
        yield
    finally:
        _current_context.reset(token)


def connection_config(url: str, pool_size: int) -> dict[str, Any]:
    """Return Tortoise's description of the connection to ``url``.

    A PostgreSQL URL may contain `host` (the directory of a Unix socket) and `sslmode`, as in libpq.
    """
    if url.startswith("sqlite:"):
        path = settings.path_of(url)
        return {
            "engine": "jobbergate_server.database.sqlite",
            "credentials": {"file_path": str(path), "synchronous": "NORMAL", "busy_timeout": SQLITE_BUSY_MILLISECONDS},
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
            "minsize": 0,  # with more, asyncpg replaces lost connections in the background and logs each failure
            "maxsize": pool_size,
            "server_settings": {"timezone": "UTC", "application_name": "jobbergate-server"},
        },
    }
