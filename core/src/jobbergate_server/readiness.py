"""Whether the server can serve: what each of its parts says."""

from aiohttp import web

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.database import DATABASE, Database
from jobbergate_server.files import FILES, Files
from jobbergate_server.migrations import pending

OK = "ok"

PROVIDER: web.AppKey[Provider] = web.AppKey("provider", Provider)


async def readiness(app: web.Application) -> dict[str, str]:
    """The state of database, schema, provider and file store: `ok`, or why it is not ready."""
    database = await check_database(app[DATABASE])
    return {
        "database": database,
        "schema": await check_schema(app[DATABASE]) if database == OK else "not known without a database",
        "issuer": await check_issuer(app[PROVIDER]),
        "files": await check_files(app[FILES]),
    }


async def check_database(database: Database) -> str:
    """Whether the database answers."""
    try:
        await database.ping()
    except Exception as error:  # noqa: BLE001 - whatever the driver raises, the answer is that it is not there
        return f"not reachable ({type(error).__name__})"
    return OK


async def check_issuer(provider: Provider) -> str:
    """Whether the provider's keys are known, so that tokens can be verified."""
    await provider.refresh()
    return provider.reason or OK


async def check_files(files: Files) -> str:
    """Whether the file store takes a file."""
    try:
        await files.ping()
    except Exception as error:  # noqa: BLE001 - likewise
        return f"not writable ({type(error).__name__})"
    return OK


async def check_schema(database: Database) -> str:
    """Whether all migrations are applied."""
    missing = await pending(database)
    return f"migrations are missing: {', '.join(missing)}" if missing else OK
