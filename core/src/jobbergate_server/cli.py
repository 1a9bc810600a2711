"""The command `jobbergate-server`."""

import asyncio
import json
import shlex
import sys
from pathlib import Path

import click

from jobbergate_server import __version__, dev, server
from jobbergate_server.app import create_app
from jobbergate_server.checks import run_checks
from jobbergate_server.contributions import Contribution, collect, permission_names, tortoise_apps
from jobbergate_server.database import Database, current_models
from jobbergate_server.files import Files, used_digests
from jobbergate_server.issuer import Issuer, NoIssuer
from jobbergate_server.logs import configure_logging
from jobbergate_server.migrations import migrate, pending, strangers
from jobbergate_server.plugins import Plugins, StartError, discover
from jobbergate_server.readiness import OK, check_files, require_database
from jobbergate_server.settings import Settings, SettingsError, load_settings


class Commands(click.Group):
    """A group whose commands tell what stops them as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SettingsError, StartError, NoIssuer) as error:
            raise click.ClickException(str(error)) from None


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with settings; environment variables JOBBERGATE_… win over it.",
)
port_option = click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on: server.port.")


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="jobbergate-server")
def main() -> None:
    """The REST API of Jobbergate."""


@main.command("dev")
@config_option
@click.option("--host", help="The loopback address to listen on: server.host.")
@port_option
@click.option("--samples/--no-samples", default=True, show_default=True, help="Fill an empty database with samples.")
def serve_dev(config: Path | None, host: str | None, port: int | None, samples: bool) -> None:  # noqa: FBT001 - click's options
    """Serve for development: on loopback, with an OpenID Connect issuer of its own, migrating by itself."""
    command = [sys.argv[0], "token", *(["--config", str(config)] if config else [])]
    dev.serve(_settings(config, host, port), samples=samples, token_command=shlex.join(command))


@main.command()
@config_option
@click.option("--host", help="The address to listen on: server.host.")
@port_option
@click.option("--workers", type=click.IntRange(1), help="How many processes serve: server.workers.")
def serve(config: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve for production, behind the OpenID Connect provider `oidc.issuer`."""
    settings = _settings(config, host, port, workers)
    server.serve(lambda: create_app(settings), server.listen(settings.server), settings.server.workers)


@main.command("migrate")
@config_option
def apply_migrations(config: Path | None) -> None:
    """Bring the database schema up to date, naming each migration that is applied."""
    applied = asyncio.run(_migrate(_settings(config)))
    for name in applied:
        click.echo(name)
    if not applied:
        click.echo("The schema is up to date.")


@main.command("plugins")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def list_plugins(config: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's options
    """List the installed plugins and their states, in the order in which they come."""
    settings = _settings(config)
    plugins = Plugins(discover(), settings.plugins)
    collect(plugins, settings)
    rows = [
        {"name": plugin.slug, "version": plugin.version, "state": plugin.state, "reason": plugin.reason}
        for plugin in plugins.installed
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        reason = f"  ({row['reason']})" if row["reason"] else ""
        click.echo(f"{row['name']:24}{row['version']:12}{row['state']}{reason}")


@main.command()
@config_option
def check(config: Path | None) -> None:
    """Check settings, database, schema, issuer and file store; exit with 1 when one of them fails."""
    results = asyncio.run(run_checks(config))
    for name, result in results.items():
        click.echo(f"{name}: {result}")
    if any(result != OK for result in results.values()):
        raise click.exceptions.Exit(1)


@main.command()
@config_option
@click.option("--email", default=dev.EMAIL, show_default=True, help="Whom the token is for.")
@click.option("--client-id", default=dev.CLIENT_ID, show_default=True, help="The client, for an agent its cluster.")
@click.option("--permission", "permissions", multiple=True, help="What the token allows; everything by default.")
def token(config: Path | None, email: str, client_id: str, permissions: tuple[str, ...]) -> None:
    """Print a token of the development issuer, and nothing else."""
    settings = _settings(config)
    issuer = Issuer.load(dev.DIRECTORY)
    allowed = permissions or permission_names(_contributions(settings))
    click.echo(issuer.token(email=email, client_id=client_id, permissions=allowed))


@main.group("files")
def file_commands() -> None:
    """Look after the stored files."""


@file_commands.command()
@config_option
def prune(config: Path | None) -> None:
    """Remove the files that no row has pointed to for a day, naming each that is removed."""
    removed = asyncio.run(_prune(_settings(config)))
    for digest in removed:
        click.echo(digest)
    if not removed:
        click.echo("There is nothing to remove.")


def _settings(
    config: Path | None, host: str | None = None, port: int | None = None, workers: int | None = None
) -> Settings:
    options = {"host": host, "port": port, "workers": workers}
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings(config, **({"server": given} if given else {}))
    configure_logging(settings.log)
    return settings


def _contributions(settings: Settings) -> list[Contribution]:
    return collect(Plugins(discover(), settings.plugins), settings)


async def _migrate(settings: Settings) -> list[str]:
    database = Database(settings.database, tortoise_apps(_contributions(settings)))
    async with database.connected():
        await require_database(database)
        return await migrate(database)


async def _prune(settings: Settings) -> list[str]:
    database = Database(settings.database, tortoise_apps(_contributions(settings)))
    files = Files(settings.files)
    async with database.connected():
        await require_database(database)
        # Rows that are not seen would lose their files.
        if missing := await pending(database):
            raise StartError(f"The schema is behind: {', '.join(missing)} must be applied.")
        if unseen := await strangers(database):
            raise StartError(f"The tables of {', '.join(unseen)} may point to files, and these plugins are not active.")
        if (state := await check_files(files)) != OK:
            raise StartError(f"files.url: {state}")
        with database.bound():
            return await files.prune(lambda: used_digests(current_models()))
