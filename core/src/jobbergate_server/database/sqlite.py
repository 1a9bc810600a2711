"""Tortoise's SQLite backend, made safe for several writing processes and for every alphabet.

A transaction acquires the write lock when it begins. Otherwise a transaction that reads and then writes would fail
without waiting, when another process wrote in between. `upper()` supports all of Unicode, so that a search for `é`
finds `É` as on PostgreSQL.
"""

from asyncio import timeout
from pathlib import Path

from tortoise.backends.base.client import TransactionalDBClient
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from jobbergate_server.database.write_counter import WriteCounter
from jobbergate_server.errors import Unavailable

DATABASE_LOCKED = "The database is locked by another transaction. Retry the request."
WAIT_SECONDS = 4.0
"""The time that a transaction waits for another one of the same process."""


class Client(WriteCounter, SqliteClient):
    """One SQLite file, whose missing directory is created."""

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's signature
        """Open the file."""
        if self._connection is None:
            Path(self.filename).parent.mkdir(parents=True, exist_ok=True)
        await super().create_connection(with_db)
        if self._connection is not None:
            await self._connection.create_function("upper", 1, _upper, deterministic=True)

    def connections(self) -> tuple[int, int]:
        """Return 1 connection, and 1 idle one outside of transactions."""
        return 1, int(not self._lock.locked())

    def _in_transaction(self) -> SqliteTransactionContext:
        return TransactionContext(Transaction(self), self._lock)


class TransactionContext(SqliteTransactionContext):
    """A transaction that releases its lock when it cannot begin."""

    async def __aenter__(self) -> TransactionalDBClient:
        try:
            async with timeout(WAIT_SECONDS):
                await self._trxlock.acquire()
        except TimeoutError:
            raise Unavailable(DATABASE_LOCKED) from None
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection  # type: ignore[no-any-return]  # Tortoise leaves the attribute untyped

    async def __aexit__(self, *error: object) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            self.connection._parent.writes += 1  # noqa: SLF001 - likewise


class Transaction(SqliteTransactionWrapper):
    """A transaction that holds the write lock from its beginning."""

    @translate_exceptions
    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement)

    async def begin(self) -> None:
        """Acquire the write lock.

        Raises:
            Unavailable: Another process held it for longer than the busy time-out.
        """
        try:
            await self._execute("BEGIN IMMEDIATE")
        except BaseException as error:
            # The statement runs in a thread: it begins the transaction even when this task is cancelled.
            await self._connection.rollback()
            if isinstance(error, OperationalError):
                raise Unavailable(DATABASE_LOCKED) from error
            raise

    async def commit(self) -> None:
        """Commit, or roll back on failure, because the next transaction uses the same connection."""
        try:
            await super().commit()
        except BaseException:
            await self.rollback()
            raise


def _upper(value: str | None) -> str | None:
    return None if value is None else str(value).upper()


client_class = Client
