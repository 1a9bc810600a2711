"""The readiness of the server: the checks of its parts."""

import asyncio
from dataclasses import dataclass

import structlog
from aiohttp import web

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.database.connection import Database
from jobbergate_server.database.health import DEADLINE, OK, _state, check_database
from jobbergate_server.files import Files
from jobbergate_server.http.keys import DATABASE, FILES, PROVIDER, STOPPING
from jobbergate_server.plugins.contribution import CONTRIBUTIONS, Contribution
from jobbergate_server.plugins.registry import PLUGINS
from jobbergate_server.tables.migrations import pending

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the server can serve, whether it is degraded, and the result of each check."""

    ready: bool
    degraded: bool
    checks: dict[str, str]


async def readiness(app: web.Application) -> Readiness:
    """Check database, schema, provider, file store and plugins; a result is `ok` or the reason."""
    plugins = app[PLUGINS]
    checked = [it for it in app[CONTRIBUTIONS] if plugins.implements(it.plugin, "check_health")]
    stored, issuer, files, health = await asyncio.gather(
        check_storage(app[DATABASE]),
        check_issuer(app[PROVIDER]),
        check_files(app[FILES]),
        asyncio.gather(*(_check_plugin(app, contribution) for contribution in checked)),
    )
    needed = {**stored, "issuer": issuer, "files": files}
    if app[STOPPING].is_set():
        needed["server"] = "shutting down"
    dispensable = {plugin.slug: "not loaded; see the server log" for plugin in plugins.failed}
    for contribution, state in zip(checked, health, strict=True):
        kind = dispensable if plugins.is_optional(contribution.plugin) else needed
        kind[contribution.plugin.slug] = state
    return Readiness(
        ready=all(state == OK for state in needed.values()),
        degraded=any(state != OK for state in dispensable.values()),
        checks=needed | dispensable,
    )


async def _check_plugin(app: web.Application, contribution: Contribution) -> str:
    """Return the result of the plugin's own check."""
    plugins, plugin = app[PLUGINS], contribution.plugin
    try:
        with app[DATABASE].bound():
            async with asyncio.timeout(DEADLINE):
                states = [str(await it) for it in plugins.run(plugin, "check_health", context=contribution.context)]
                return "; ".join(state for state in states if state != OK) or OK
    except Exception as error:
        log.exception("health check failed", plugin=plugin.slug)
        return f"not known ({type(error).__name__})"


async def check_storage(database: Database) -> dict[str, str]:
    """Check whether the database responds, and whether its schema is up to date."""
    state = await check_database(database)
    return {
        "database": state,
        "schema": await check_schema(database) if state == OK else "not known without a database",
    }


async def check_schema(database: Database) -> str:
    """Check whether all migrations are applied."""
    missing: list[str] = []

    async def look() -> None:
        missing.extend(await pending(database))

    state = await _state(look(), "not known")
    return f"missing migrations: {', '.join(missing)}" if missing else state


async def check_issuer(provider: Provider) -> str:
    """Check whether the provider's keys are available to verify tokens."""
    await provider.refresh()
    return provider.reason or OK


async def check_files(files: Files) -> str:
    """Check whether the file store accepts a file."""
    return await _state(files.ping(), "not writable")
