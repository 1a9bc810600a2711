"""What `jobbergate-server check` looks at before a server is started."""

from pathlib import Path

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.database.health import OK
from jobbergate_server.errors import StartError
from jobbergate_server.files import Files
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.contribution import permission_names
from jobbergate_server.service.health import check_files, check_issuer, check_storage
from jobbergate_server.settings import Settings


async def run_checks(config: Path | None) -> dict[str, str]:
    """The state of settings, database, schema, issuer and file store: `ok`, or what is wrong.

    Where the settings are not valid, nothing else can be looked at.
    """
    try:
        installation = Installation.load(config)
    except StartError as error:
        return {"settings": str(error)}
    settings, database = installation.settings, installation.database()
    results = {"settings": _roles(installation)}
    async with database.connected():
        results |= await check_storage(database)
    results["issuer"] = await _issuer(settings)
    results["files"] = await check_files(Files(settings.files))
    return results


def _roles(installation: Installation) -> str:
    """A line for every permission that a role grants and no plugin registers.

    They stop no start, which goes on when a plugin in `plugins.optional` is left out, with its permissions.
    """
    registered = set(permission_names(installation.contributions))
    unknown = [
        f"oidc.roles.{role}: {name!r} is no permission that a plugin registers"
        for role, granted in installation.settings.oidc.roles.items()
        for name in granted
        if name not in registered
    ]
    return "\n".join(unknown) or OK


async def _issuer(settings: Settings) -> str:
    if settings.oidc.issuer is None:
        return "oidc.issuer is not set"
    async with Provider(settings.oidc.issuer) as provider:
        return await check_issuer(provider)
