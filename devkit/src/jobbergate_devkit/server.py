"""The development server: loopback only, with an OpenID Connect issuer, automatic migrations and samples."""

from collections.abc import Awaitable, Iterable
from pathlib import Path

import click
from aiohttp import web

from jobbergate_devkit.issuer import ALGORITHM, Issuer
from jobbergate_devkit.oauth import OAuth
from jobbergate_server import DATABASE, FILES, MOUNT
from jobbergate_server.app import create_app
from jobbergate_server.database.connection import Database
from jobbergate_server.errors import StartError
from jobbergate_server.plugins.contribution import CONTRIBUTIONS, permission_names
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import PLUGINS
from jobbergate_server.serving import processes
from jobbergate_server.settings import Settings, is_loopback

DIRECTORY = Path("var/issuer")
ISSUER_PATH = "/oidc"
EMAIL = "local-user@jobbergate.local"
CLIENT_ID = "local-cluster"


def serve(settings: Settings, *, samples: bool, token_command: str) -> None:
    """Serve until SIGTERM or SIGINT; print the URL, a token and an example at the start.

    ``token_command`` is the command that prints a token.

    Raises:
        StartError: The host is not loopback, or the application cannot start.
    """
    if not is_loopback(settings.server.host):
        raise StartError(f"server.host: the development server listens on loopback only, not on {settings.server.host}")
    sock = processes.listen(settings.server)
    host, port = sock.getsockname()[:2]
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    issuer = Issuer.open(DIRECTORY, origin + ISSUER_PATH, settings.oidc.permissions_claim)

    async def announce(app: web.Application) -> None:
        contributions = app[CONTRIBUTIONS]
        token = issuer.token(email=EMAIL, client_id=CLIENT_ID, permissions=permission_names(contributions))
        click.echo(
            f"Jobbergate Server serves {origin}{MOUNT}\n"
            f"API documentation: {origin}{MOUNT}/docs\n"
            f"Get a token:       {token_command}\n"
            f'Try it:            curl --header "Authorization: Bearer {token}" {origin}{MOUNT}/job-scripts'
        )

    processes.serve(lambda: build(settings, issuer, samples=samples), sock, announce=announce)


def build(
    settings: Settings, issuer: Issuer, *, samples: bool, installed: Iterable[Plugin] | None = None
) -> web.Application:
    """Return the application of ``settings``, which also serves ``issuer``; ``installed`` as in `create_app`."""
    settings = settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"migrate_on_start": True}),
            "oidc": settings.oidc.model_copy(
                update={"issuer": issuer.url, "audience": None, "algorithms": [ALGORITHM]}
            ),
        }
    )
    app = create_app(settings, installed, before_mount=_add_samples if samples else None)
    contributions = app[CONTRIBUTIONS]
    app.add_routes(OAuth(issuer, permission_names(contributions), EMAIL).routes())
    return app


async def _add_samples(app: web.Application) -> None:
    """Add the samples of all plugins before routes are mounted; a failure fails the plugin."""
    plugins = app[PLUGINS]
    given = {"owner": EMAIL, "files": app[FILES]}
    for plugin in plugins.active:
        with app[DATABASE].bound():
            for adding in plugins.call(plugin, "add_samples", _awaitable, **given):
                await plugins.wait(plugin, "add_samples", _committed(app[DATABASE], adding))
    plugins.refuse_failures()


async def _committed(database: Database, adding: Awaitable[None]) -> None:
    async with database.transaction():
        await adding


def _awaitable(adding: object) -> Awaitable[None]:
    if not isinstance(adding, Awaitable):
        raise TypeError(f"{adding!r} cannot be awaited")
    return adding
