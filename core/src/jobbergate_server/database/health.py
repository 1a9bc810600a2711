"""Health of the database."""

import asyncio
from collections.abc import Awaitable

from jobbergate_server.database.connection import Database
from jobbergate_server.errors import StartError

OK = "ok"


DEADLINE = 5.0
"""Seconds that a part has for its answer; who probes the server does not wait much longer."""


async def check_database(database: Database) -> str:
    """Whether the database answers."""
    return await _state(database.ping(), "not reachable")


async def require_database(database: Database) -> None:
    """Ask the database for an answer before anything else is asked of it.

    Raises:
        StartError: It does not answer.
    """
    if (state := await check_database(database)) != OK:
        raise StartError(f"database.url: {state}")


async def _state(answer: Awaitable[None], trouble: str) -> str:
    try:
        async with asyncio.timeout(DEADLINE):
            await answer
    except Exception as error:  # noqa: BLE001 - whatever a driver raises, the part is not there; its text may hold secrets
        return f"{trouble} ({type(error.__cause__ or error).__name__})"
    return OK
