"""What `jobbergate-server check` looks at before a server is started."""

from pathlib import Path

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.contributions import permission_names
from jobbergate_server.files import Files
from jobbergate_server.plugins import StartError
from jobbergate_server.readiness import OK, check_files, check_issuer, check_storage
from jobbergate_server.settings import Settings, SettingsError
from jobbergate_server.site import Site


async def run_checks(config: Path | None) -> dict[str, str]:
    """The state of settings, database, schema, issuer and file store: `ok`, or what is wrong.

    Where the settings are not valid, nothing else can be looked at.
    """
    try:
        site = Site.load(config)
    except (SettingsError, StartError) as error:
        return {"settings": str(error)}
    settings, database = site.settings, site.database()
    results = {"settings": _roles(site)}
    async with database.connected():
        results |= await check_storage(database)
    results["issuer"] = await _issuer(settings)
    results["files"] = await check_files(Files(settings.files))
    return results


def _roles(site: Site) -> str:
    """A line for every permission that a role grants and no plugin registers.

    They stop no start, which goes on when a plugin in `plugins.optional` is left out, with its permissions.
    """
    registered = set(permission_names(site.contributions))
    unknown = [
        f"oidc.roles.{role}: {name!r} is no permission that a plugin registers"
        for role, granted in site.settings.oidc.roles.items()
        for name in granted
        if name not in registered
    ]
    return "\n".join(unknown) or OK


async def _issuer(settings: Settings) -> str:
    if settings.oidc.issuer is None:
        return "oidc.issuer is not set"
    async with Provider(settings.oidc.issuer) as provider:
        return await check_issuer(provider)
