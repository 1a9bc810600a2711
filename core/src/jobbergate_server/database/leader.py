"""The leader of an installation: the one process that dispatches events, elected by a lock.

PostgreSQL releases an advisory lock with its session (manual, section 13.3.5). The kernel releases a file lock with its
process (flock(2)). When the leader dies, another process acquires the lock.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from jobbergate_server import settings
from jobbergate_server.database.connection import Database
from jobbergate_server.database.event_log import Fetch, renumber_restored

ADVISORY_LOCK = 7_310_236
"""The key of PostgreSQL's advisory lock; any number that all versions of this server share."""
LEADER_LOCK = """
SELECT 1 FROM pg_locks
WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
ELECTION_SECONDS = 1.0
"""The pause between attempts of a process to become the leader."""
TIMEOUT_SECONDS = 5.0
"""The time that the leader waits for PostgreSQL before it resigns."""
KEEPALIVE = {"tcp_keepalives_idle": "4", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""TCP keepalives: PostgreSQL detects a disconnected leader within 10 s (manual, section 20.3.2)."""

log = structlog.get_logger()


@asynccontextmanager
async def leading(database: Database) -> AsyncIterator[Fetch]:
    """Wait until this process leads, and yield a function that executes the leader's queries.

    On PostgreSQL they run on the connection that holds the lock: after losing it, the next query fails.
    """
    async with _leading_sqlite(database) if database.is_sqlite else _leading_postgresql(database) as fetch:
        yield fetch


@asynccontextmanager
async def _leading_sqlite(database: Database) -> AsyncIterator[Fetch]:
    path = settings.path_of(database.url)
    with path.with_name(f"{path.name}.leader").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(ELECTION_SECONDS)
        yield database.fetch


@asynccontextmanager
async def _leading_postgresql(database: Database) -> AsyncIterator[Fetch]:
    connection, turn = await _elected(database), asyncio.Lock()

    async def fetch(sql: str, values: Sequence[object]) -> Sequence[Any]:
        async with turn:  # a connection executes one query at a time
            rows: Sequence[Any] = await connection.fetch(sql, *values, timeout=TIMEOUT_SECONDS)
        return rows

    try:
        if await renumber_restored(connection):
            log.warning("events renumbered", reason="the database was restored from another PostgreSQL server")
        yield fetch
    finally:
        connection.terminate()


async def _elected(database: Database) -> asyncpg.Connection:
    """Wait until no other process holds the lock, and return a new connection that does."""
    while True:
        # A query on a pooled connection costs less than a new connection for each attempt.
        if not await database.fetch(LEADER_LOCK, [ADVISORY_LOCK]):
            connection = await asyncpg.connect(
                **database.credentials, timeout=TIMEOUT_SECONDS, server_settings=KEEPALIVE | {"timezone": "UTC"}
            )
            is_elected = False
            try:
                is_elected = await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK)
            finally:
                if not is_elected:
                    connection.terminate()
            if is_elected:
                return connection
        await asyncio.sleep(ELECTION_SECONDS)
