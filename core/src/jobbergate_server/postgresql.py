"""Tortoise's PostgreSQL backend, with transactions that give their connection back when they cannot begin."""

from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContextPooled
from tortoise.connection import get_connections


class Client(AsyncpgDBClient):
    """A pool of connections to one PostgreSQL database."""

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


client_class = Client
