"""Tortoise's PostgreSQL backend: a pool with a fair queue, and transactions that begin with their first statement."""

import asyncio
from asyncio import CancelledError, Future, get_running_loop
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import asyncpg
from asyncpg import Connection, Pool, Record, create_pool
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    BaseDBAsyncClient,
    ConnectionWrapper,
    NestedTransactionContext,
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContextPooled,
)
from tortoise.connection import get_connections

from jobbergate_server.database.write_counter import WriteCounter
from jobbergate_server.errors import ApiError, SerializationFailure, Unavailable

DATABASE_UNAVAILABLE = "The database is unavailable. Retry the request."
POOL_EXHAUSTED = "All connections to the database are in use. Retry the request."
STATEMENT_TIMED_OUT = "The database did not respond in time. Retry the request."
WAIT_SECONDS = 4.0
"""The time limit of the wait for a free connection, and for PostgreSQL to accept a new one."""
CLOSE_SECONDS = 1.0
"""The time limit for closing the pool."""
CONNECTION_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
)
"""Errors of statements while PostgreSQL shuts down; the connection may close a moment later."""
SERIALIZATION_ERRORS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Errors of a statement that conflicts with a concurrent transaction."""


class Client(WriteCounter, AsyncpgDBClient):
    """A pool of connections to one PostgreSQL database.

    A connection returns to the pool without asyncpg's reset, which costs as much as a query. No state needs a reset:
    transactions end first, and settings apply to one transaction (`SET LOCAL`).
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Tortoise's options
        super().__init__(**options)
        self._taken: dict[Connection, float] = {}
        """The time when each connection in use was acquired."""
        self._overdue: set[Connection] = set()
        self.idle_seconds: float | None = None
        """Seconds after which PostgreSQL ends an idle transaction, for example of a disconnected machine."""
        self._free = self.pool_maxsize
        self._waiting: deque[Future[Connection | None]] = deque()

    async def create_pool(self, **options: Any) -> Pool:  # noqa: ANN401 - asyncpg's options
        """Open the pool."""
        return await create_pool(None, init=self._prepare, reset=_keep, timeout=WAIT_SECONDS, **options)

    async def _close(self) -> None:
        if self._pool:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    async def _prepare(self, connection: Connection) -> None:
        if self.idle_seconds is not None:
            await connection.execute(f"SET idle_in_transaction_session_timeout = {int(self.idle_seconds * 1000)}")

    def connections(self) -> tuple[int, int]:
        """Return the number of connections in the pool, and of idle ones."""
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)

    async def limit(self, seconds: float) -> None:
        """Periodically terminate connections that are in use for longer than ``seconds``.

        Their statements fail then. One periodic check costs less than a timer for each connection.
        """
        loop = get_running_loop()
        while True:
            await asyncio.sleep(seconds / 10)
            latest = loop.time() - seconds
            for connection in [it for it, taken in self._taken.items() if taken < latest and not _is_gone(it)]:
                self._overdue.add(connection)
                connection.terminate()

    def excuse(self, connection: Connection, error: BaseException | None) -> Unavailable | None:
        """Return the `Unavailable` to raise instead of an error of the database; None for any other error."""
        if isinstance(error, SERIALIZATION_ERRORS):
            return SerializationFailure()
        if not isinstance(error, Exception) or isinstance(error, ApiError):
            return None
        if isinstance(error, CONNECTION_ERRORS) or _is_gone(connection):
            return Unavailable(STATEMENT_TIMED_OUT if connection in self._overdue else DATABASE_UNAVAILABLE)
        return None

    def acquire_connection(self) -> "Turn":
        """Return a connection for one statement."""
        return Turn(self, self._pool_init_lock)

    async def take(self) -> Connection:
        """Return a connection, in the order of calls.

        asyncpg's own queue lets new requests overtake waiting ones.

        Raises:
            Unavailable: PostgreSQL does not respond, or no connection was free in time.
        """
        connection = await self._turn() or await self._acquire()
        self._taken[connection] = get_running_loop().time()
        return connection

    async def _acquire(self) -> Connection:
        try:
            if self._pool is None:
                await PoolConnectionWrapper(self, self._pool_init_lock).ensure_connection()
            return await cast("Pool", self._pool).acquire()
        except BaseException as error:
            self._pass(None)
            if isinstance(error, Exception):
                raise Unavailable(DATABASE_UNAVAILABLE) from error
            raise

    async def give(self, connection: Connection, *, is_sound: bool) -> None:
        """Pass a connection to the longest waiting task, or release it to the pool, which replaces unsound ones."""
        self._taken.pop(connection, None)
        self._overdue.discard(connection)
        if is_sound and self._waiting and not _is_gone(connection) and self._pass(connection):
            return
        try:
            if self._pool:
                with suppress(TimeoutError):  # then the pool terminated the connection
                    await self._pool.release(connection, timeout=WAIT_SECONDS)
        finally:
            self._pass(None)

    async def _turn(self) -> Connection | None:
        """Wait for a connection and return it; None when the pool has a free one."""
        if self._free:
            self._free -= 1
            return None
        loop = get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        deadline = loop.call_later(WAIT_SECONDS, _give_up, turn)
        try:
            return cast("Connection | None", await turn)
        except CancelledError:
            if not turn.cancelled():
                connection = turn.result()
                if connection is None:
                    self._pass(None)
                else:
                    await self.give(connection, is_sound=True)
            raise
        finally:
            deadline.cancel()

    def _pass(self, connection: Connection | None) -> bool:
        """Pass the turn to the longest waiting task, and return whether one was waiting."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        if connection is None:
            self._free += 1
        return False

    def _in_transaction(self) -> TransactionContextPooled:
        return TransactionContext(Transaction(self), self._pool_init_lock)


class Turn(PoolConnectionWrapper[Connection]):
    """The use of a pooled connection by one statement."""

    client: Client

    async def __aenter__(self) -> Connection:
        self.connection = await self.client.take()
        return self.connection

    async def __aexit__(self, _: object, error: BaseException | None, *rest: object) -> None:
        assert self.connection is not None  # noqa: S101 - it was entered
        reason = self.client.excuse(self.connection, error)
        await self.client.give(self.connection, is_sound=error is None)
        if reason:
            raise reason from error


class Transaction(TransactionWrapper):
    """A transaction that acquires a connection and begins with its first statement."""

    _parent: Client

    @property
    def pool(self) -> Client:
        """The pool of its connection."""
        return self._parent

    @property
    def connection(self) -> Connection:
        """The connection that it acquired."""
        return self._connection

    @property
    def has_begun(self) -> bool:
        """Whether it executed a statement."""
        return self.transaction is not None

    def acquire_connection(self) -> ConnectionWrapper[Connection]:
        """Return the transaction's connection, for one statement at a time."""
        return Step(self._lock, self)

    async def begin(self) -> None:
        """Acquire a connection and begin."""
        self._connection = await self.pool.take()
        try:
            await super().begin()
        except BaseException as error:
            self.transaction = None
            reason = self.pool.excuse(self._connection, error)
            await self.pool.give(self._connection, is_sound=False)
            if reason:
                raise reason from error
            raise

    def _in_transaction(self) -> NestedTransactionContext:
        return Savepoint(self)


class Step(ConnectionWrapper[Connection]):
    """The use of a transaction's connection by one statement."""

    client: Transaction

    async def __aenter__(self) -> Connection:
        await self._lock.acquire()
        try:
            if not self.client.has_begun:
                await self.client.begin()
        except BaseException:
            self._lock.release()
            raise
        return self.client.connection


class Savepoint(NestedTransactionContext):
    """A part of a transaction that can be rolled back alone."""

    def __init__(self, outer: Transaction) -> None:
        super().__init__(outer)
        self._outer = outer

    async def __aenter__(self) -> TransactionalDBClient:
        async with self._outer.acquire_connection():
            self.client = TransactionWrapper(self._outer)
            return await super().__aenter__()


class TransactionContext(TransactionContextPooled):
    """The scope of a transaction, which releases its connection at the end."""

    client: Transaction

    async def __aenter__(self) -> TransactionalDBClient:
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, _: object, error: BaseException | None, *rest: object) -> None:
        transaction, pool = self.client, self.client.pool
        get_connections().reset(self.token)
        if not transaction.has_begun:
            return
        is_sound = False
        try:
            if error is None:
                await transaction.commit()
                is_sound = True
            elif not _is_gone(transaction.connection):
                # PostgreSQL rolls back a lost transaction.
                # An error here must not replace the first one, such as a cancellation.
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await transaction.rollback()
        except Exception as failure:
            if reason := pool.excuse(transaction.connection, failure):
                raise reason from failure
            raise
        else:
            if reason := pool.excuse(transaction.connection, error):
                raise reason from error
        finally:
            pool.writes += 1
            await pool.give(transaction.connection, is_sound=is_sound)


async def fetch_planned(client: BaseDBAsyncClient, sql: str, values: Sequence[object]) -> list[Record]:
    """Return the rows of a query that PostgreSQL plans for its values.

    Otherwise PostgreSQL could reuse a generic plan, or one that is older than an index.
    """
    async with client.acquire_connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        return list(await connection.fetch(sql, *values))


def _give_up(turn: Future[Connection | None]) -> None:
    if not turn.done():
        turn.set_exception(Unavailable(POOL_EXHAUSTED))


def _is_gone(connection: Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool released it already, as it does with lost connections
        return True


async def _keep(_: Connection) -> None:
    """Skip the reset of a connection that returns to the pool."""


client_class = Client
