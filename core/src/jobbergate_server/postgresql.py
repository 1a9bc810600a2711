"""Tortoise's PostgreSQL backend, with transactions that give their connection back when they cannot begin."""

from typing import Any, cast

from asyncpg import Connection, Pool, create_pool
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContextPooled
from tortoise.connection import get_connections

from jobbergate_server.writes import WriteCounter


class Client(WriteCounter, AsyncpgDBClient):
    """A pool of connections to one PostgreSQL database.

    A connection goes back as it is: what asyncpg would send to reset it costs as much as a query, and there is nothing
    to be reset, because transactions end by themselves and settings are set for a transaction alone (`SET LOCAL`).
    """

    async def create_pool(self, **options: Any) -> Pool:  # noqa: ANN401 - asyncpg's options
        """Open the pool."""
        return await create_pool(None, reset=_keep, **options)

    def connections(self) -> tuple[int, int]:
        """The connections of the pool, and the idle ones among them."""
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)

    def _in_transaction(self) -> TransactionContextPooled:
        return TransactionContext(TransactionWrapper(self), self._pool_init_lock)


class TransactionContext(TransactionContextPooled):
    """A transaction that leaves nothing behind when it cannot begin."""

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        pool = self.client._parent._pool  # noqa: SLF001 - what Tortoise's own context uses
        self.client._connection = connection = await pool.acquire()  # noqa: SLF001 - likewise
        try:
            await self.client.begin()
        except BaseException:
            await pool.release(connection)
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, *error: object) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            cast("Client", self.client._parent).writes += 1  # noqa: SLF001 - likewise


async def _keep(_: Connection) -> None:
    """Leave a connection that goes back as it is."""


client_class = Client
