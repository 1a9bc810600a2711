"""Whether the server can serve: what each of its parts says."""

import asyncio
from collections.abc import Awaitable

from aiohttp import web

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.database import DATABASE, Database
from jobbergate_server.files import FILES, Files
from jobbergate_server.migrations import pending
from jobbergate_server.plugins import StartError

OK = "ok"
DEADLINE = 5.0
"""Seconds that a part has for its answer; who probes the server does not wait much longer."""

PROVIDER: web.AppKey[Provider] = web.AppKey("provider", Provider)


async def readiness(app: web.Application) -> dict[str, str]:
    """The state of database, schema, provider and file store: `ok`, or why it is not ready."""
    stored, issuer, files = await asyncio.gather(
        check_storage(app[DATABASE]), check_issuer(app[PROVIDER]), check_files(app[FILES])
    )
    return {**stored, "issuer": issuer, "files": files}


async def check_storage(database: Database) -> dict[str, str]:
    """Whether the database answers, and whether its schema is up to date."""
    state = await check_database(database)
    return {
        "database": state,
        "schema": await check_schema(database) if state == OK else "not known without a database",
    }


async def check_database(database: Database) -> str:
    """Whether the database answers."""
    return await _state(database.ping(), "not reachable")


async def check_schema(database: Database) -> str:
    """Whether all migrations are applied."""
    missing: list[str] = []

    async def look() -> None:
        missing.extend(await pending(database))

    state = await _state(look(), "not known")
    return f"migrations are missing: {', '.join(missing)}" if missing else state


async def check_issuer(provider: Provider) -> str:
    """Whether the provider's keys are known, so that tokens can be verified."""
    await provider.refresh()
    return provider.reason or OK


async def check_files(files: Files) -> str:
    """Whether the file store takes a file."""
    return await _state(files.ping(), "not writable")


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
        return f"{trouble} ({type(error).__name__})"
    return OK
