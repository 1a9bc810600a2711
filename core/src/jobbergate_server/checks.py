"""What `jobbergate-server check` looks at before a server is started."""

from pathlib import Path

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.contributions import collect, tortoise_apps
from jobbergate_server.database import Database
from jobbergate_server.files import Files
from jobbergate_server.logs import configure_logging
from jobbergate_server.plugins import Plugins, StartError, discover
from jobbergate_server.readiness import OK, check_files, check_issuer, check_storage
from jobbergate_server.settings import Settings, SettingsError, load_settings


async def run_checks(config: Path | None) -> dict[str, str]:
    """The state of settings, database, schema, issuer and file store: `ok`, or what is wrong.

    Where the settings are not valid, nothing else can be looked at.
    """
    try:
        settings = load_settings(config)
        configure_logging(settings.log)
        apps = tortoise_apps(collect(Plugins(discover(), settings.plugins), settings))
    except (SettingsError, StartError) as error:
        return {"settings": str(error)}
    database = Database(settings.database, apps)
    results = {"settings": OK}
    async with database.connected():
        results |= await check_storage(database)
    results["issuer"] = await _issuer(settings)
    results["files"] = await check_files(Files(settings.files))
    return results


async def _issuer(settings: Settings) -> str:
    if settings.oidc.issuer is None:
        return "oidc.issuer is not set"
    async with Provider(settings.oidc.issuer) as provider:
        return await check_issuer(provider)
