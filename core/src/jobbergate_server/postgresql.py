"""Tortoise's PostgreSQL backend, with transactions that give their connection back when they cannot begin."""

from asyncio import Semaphore
from collections.abc import Sequence
from typing import Any, cast

from asyncpg import Connection, Pool, Record, create_pool
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    BaseDBAsyncClient,
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContextPooled,
)
from tortoise.connection import get_connections

from jobbergate_server.writes import WriteCounter


class Client(WriteCounter, AsyncpgDBClient):
    """A pool of connections to one PostgreSQL database.

    A connection goes back as it is: what asyncpg would send to reset it costs as much as a query, and there is nothing
    to be reset, because transactions end by themselves and settings are set for a transaction alone (`SET LOCAL`).
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Tortoise's options
        super().__init__(**options)
        # asyncpg's own queue lets whoever comes overtake those who wait, some of them again and again.
        self.turns = Semaphore(self.pool_maxsize)

    async def create_pool(self, **options: Any) -> Pool:  # noqa: ANN401 - asyncpg's options
        """Open the pool."""
        return await create_pool(None, reset=_keep, **options)

    def connections(self) -> tuple[int, int]:
        """The connections of the pool, and the idle ones among them."""
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)

    def acquire_connection(self) -> "Turn":
        """A connection of the pool, which goes to those who wait for one in the order in which they came."""
        return Turn(self, self._pool_init_lock)

    def _in_transaction(self) -> TransactionContextPooled:
        return TransactionContext(TransactionWrapper(self), self._pool_init_lock)


class Turn(PoolConnectionWrapper[Connection]):
    """The time for which somebody has a connection of the pool."""

    async def __aenter__(self) -> Connection:
        turns = cast("Client", self.client).turns
        await turns.acquire()
        try:
            return await super().__aenter__()
        except BaseException:
            turns.release()
            raise

    async def __aexit__(self, *error: object) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            cast("Client", self.client).turns.release()


class TransactionContext(TransactionContextPooled):
    """A transaction that leaves nothing behind when it cannot begin."""

    async def __aenter__(self) -> TransactionalDBClient:
        turn = cast("Client", self.client._parent).acquire_connection()  # noqa: SLF001 - what Tortoise's own context uses
        self.client._connection = await turn.__aenter__()  # noqa: SLF001 - likewise
        try:
            await self.client.begin()
        except BaseException:
            await turn.__aexit__(None, None, None)
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, *error: object) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            parent = cast("Client", self.client._parent)  # noqa: SLF001 - likewise
            parent.turns.release()
            parent.writes += 1


async def fetch_planned(client: BaseDBAsyncClient, sql: str, values: Sequence[object]) -> list[Record]:
    """The rows of a query for which PostgreSQL makes a plan of its own.

    It would otherwise go on with a plan for all values, or with one that is older than an index.
    """
    async with client.acquire_connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        return list(await connection.fetch(sql, *values))


async def _keep(_: Connection) -> None:
    """Leave a connection that goes back as it is."""


client_class = Client
