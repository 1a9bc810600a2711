"""One process of a site leads, and another one takes over when it ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncpg
import pytest
from patience import PATIENCE

from jobbergate_server.database.leader import leading
from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_server.database.connection import Database


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[list[Database]]:
    """Two processes' connections to one database."""
    installation = Installation.of(load_settings(None, database={"url": database_url}))
    found = [installation.database() for _ in range(2)]
    async with AsyncExitStack() as stack:
        for database in found:
            await stack.enter_async_context(database.connected())
        yield found


async def test_a_second_process_leads_when_the_first_one_ends(databases: list[Database]) -> None:
    first, second = databases
    is_leading, released = asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        async with leading(second) as fetch:
            assert released.is_set()
            assert (await fetch("SELECT 1", ()))[0][0] == 1
            is_leading.set()

    async with leading(first) as fetch:
        task = asyncio.create_task(lead())
        for _ in range(3):
            assert (await fetch("SELECT 1", ()))[0][0] == 1
        released.set()
    async with asyncio.timeout(PATIENCE):
        await is_leading.wait()
        await task


@pytest.mark.database("postgresql")
async def test_a_leader_whose_session_ended_fails_with_its_next_query(databases: list[Database]) -> None:
    first, second = databases
    async with leading(first) as fetch:
        await second.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (),
        )
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
            await fetch("SELECT 1", ())
