"""The checks of `jobbergate-server check`."""

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
    """Check settings, database, schema, issuer and file store; a result is `ok` or the error.

    If the settings are not valid, all other checks are skipped.
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
    """Return a line for each permission that a role grants and no plugin registers.

    Such a role does not prevent the start, because a failed optional plugin registers no permissions.
    """
    registered = set(permission_names(installation.contributions))
    unknown = [
        f"oidc.roles.{role}: no plugin registers the permission {name!r}"
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
