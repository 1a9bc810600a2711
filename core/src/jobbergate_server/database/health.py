"""Health of the database."""

import asyncio
from collections.abc import Awaitable

from jobbergate_server.database.connection import Database
from jobbergate_server.errors import StartError

OK = "ok"
DEADLINE = 5.0
"""Seconds within which a dependency must respond; probes of the server do not wait much longer."""


async def check_database(database: Database) -> str:
    """Return `OK` if the database responds, and the problem otherwise."""
    return await _state(database.ping(), "not reachable")


async def require_database(database: Database) -> None:
    """Raise `StartError` unless the database responds.

    Raises:
        StartError: It does not respond.
    """
    if (state := await check_database(database)) != OK:
        raise StartError(f"database.url: {state}")


async def _state(answer: Awaitable[None], trouble: str) -> str:
    try:
        async with asyncio.timeout(DEADLINE):
            await answer
    except Exception as error:  # noqa: BLE001 - every error of a driver means that it is not reachable; its text may contain secrets
        return f"{trouble} ({type(error.__cause__ or error).__name__})"
    return OK
