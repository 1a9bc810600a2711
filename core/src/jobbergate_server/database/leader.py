"""The leader of a site: the one process that dispatches events, elected by a lock in or beside the database.

PostgreSQL's advisory lock belongs to a session, and a file lock to a process (PostgreSQL manual, section 13.3.5;
flock(2)): both are released when the leader dies, and another process takes over.
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
HELD = """
SELECT 1 FROM pg_locks
WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
ELECTION_SECONDS = 1.0
"""How often a process that does not lead looks for a dead leader."""
TIMEOUT_SECONDS = 5.0
"""How long the leader waits for PostgreSQL until it gives up its role."""
KEEPALIVE = {"tcp_keepalives_idle": "4", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""PostgreSQL notices within 10 s that a leader's machine is gone (manual, section 20.3.2)."""

log = structlog.get_logger()


@asynccontextmanager
async def leading(database: Database) -> AsyncIterator[Fetch]:
    """Wait until this process leads, and yield what executes the leader's queries.

    On PostgreSQL they run on the connection that holds the lock: a leader that lost it fails with its next query.
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
    """Return a new connection that holds the lock, as soon as no other process does."""
    while True:
        # A query on a pooled connection costs less than a new connection for each attempt.
        if not await database.fetch(HELD, [ADVISORY_LOCK]):
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
