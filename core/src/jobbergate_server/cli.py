"""The command `jobbergate-server`."""

import asyncio
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from jobbergate_server import __version__, dev, scaffold, server
from jobbergate_server.app import create_app
from jobbergate_server.checks import run_checks
from jobbergate_server.commands import CONFIG, CONFIG_HELP, CONFIG_TYPE, Commands
from jobbergate_server.contributions import permission_names
from jobbergate_server.database import current_models
from jobbergate_server.drafts import draft
from jobbergate_server.files import Files, used_digests
from jobbergate_server.issuer import Issuer
from jobbergate_server.logs import configure_logging
from jobbergate_server.migrations import migrate, strangers
from jobbergate_server.permissions import Permission
from jobbergate_server.plugins import StartError, State
from jobbergate_server.readiness import OK, check_files
from jobbergate_server.removal import Remains, examine, remove
from jobbergate_server.routing import MOUNT
from jobbergate_server.settings import Server, Settings, load_settings
from jobbergate_server.site import Site

config_option = click.option(CONFIG, type=CONFIG_TYPE, help=CONFIG_HELP)
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
    applied = asyncio.run(_migrate(Site.load(config)))
    for name in applied:
        click.echo(name)
    if not applied:
        click.echo("The schema is up to date.")


@main.group("plugins", invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
@click.pass_context
def plugin_commands(context: click.Context, config: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's options
    """List the installed plugins and their states, in the order in which they come."""
    if context.invoked_subcommand is not None:
        return
    rows = [
        {"name": plugin.slug, "version": plugin.version, "state": plugin.state, "reason": plugin.reason}
        for plugin in Site.load(config).plugins.installed
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        reason = f"  ({row['reason']})" if row["reason"] else ""
        click.echo(f"{row['name']:24}{row['version']:12}{row['state']}{reason}")


@plugin_commands.command("remove")
@click.argument("slug")
@config_option
@click.option("--yes", is_flag=True, help="Remove it; without this, only tell what would be removed.")
def remove_plugin(slug: str, config: Path | None, yes: bool) -> None:  # noqa: FBT001 - click's options
    """Remove the tables of a plugin from the database, also when its distribution is not installed any more."""
    for line in asyncio.run(_remove(Site.load(config), slug, yes=yes)):
        click.echo(line)


@main.command("new-plugin")
@click.argument("name")
def create_plugin(name: str) -> None:
    """Write a new plugin into the directory NAME, such as acme-licences for the resource /jobbergate/licences."""
    names = scaffold.create(name, Path())
    defaults = Server()
    click.echo(
        f"Written to {name}. Next:\n"
        "\n"
        f"    pip install -e './{name}[testing]'\n"
        "    jobbergate-server migrate\n"
        "\n"
        f"From its next start the server has http://{defaults.host}:{defaults.port}{MOUNT}/{names.slug}"
    )


@main.command()
@click.argument("slug")
@config_option
@click.option("--name", help="What the migration is called, after its number; what it does by default.")
def makemigrations(slug: str, config: Path | None, name: str | None) -> None:
    """Write the next migration of a plugin, from how its models differ from its migrations."""
    drafted = draft(slug, name, timeout=_settings(config).plugins.start_timeout)
    if drafted is None:
        click.echo("No changes.")
        return
    drafted.write()
    click.echo("\n  ".join([str(drafted.path), *drafted.changes]))


@main.command()
@config_option
def audit(config: Path | None) -> None:
    """List every route with its method, its path, what a token must allow for it, and its plugin."""
    _print_table(
        [
            route.method,
            MOUNT + contribution.plugin.prefix + route.path,
            route.permission.name if isinstance(route.permission, Permission) else route.permission.name.lower(),
            contribution.plugin.slug,
        ]
        for contribution in Site.load(config).contributions
        for route in contribution.routes
    )


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
    site = Site.load(config)
    issuer = Issuer.load(dev.DIRECTORY, site.settings.oidc.permissions_claim)
    allowed = permissions or permission_names(site.contributions)
    click.echo(issuer.token(email=email, client_id=client_id, permissions=allowed))


@main.group("files")
def file_commands() -> None:
    """Look after the stored files."""


@file_commands.command()
@config_option
def prune(config: Path | None) -> None:
    """Remove the files that no row has pointed to for a day, naming each that is removed."""
    removed = asyncio.run(_prune(Site.load(config)))
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


async def _migrate(site: Site) -> list[str]:
    async with site.connected() as database:
        return await migrate(database, site.contributions)


async def _remove(site: Site, slug: str, *, yes: bool) -> list[str]:
    """What the plugin has in the database, and what has become of it."""
    async with site.current() as database:
        remains = await examine(database, slug)
        told = list(_told(remains))
        if not yes:
            return [*told, "Nothing was removed; --yes removes the tables with all their rows."]
        if any(plugin.slug == slug and plugin.state is not State.DISABLED for plugin in site.plugins.installed):
            raise StartError(
                f"The plugin {slug!r} is active. Uninstall {remains.distribution}, or list it under plugins.disabled, "
                "before its tables are removed."
            )
        await remove(database, remains)
        return [*told, "The tables were removed. The permissions are the provider's to withdraw."]


def _told(remains: Remains) -> Iterable[str]:
    yield f"{remains.slug} ({remains.distribution} {remains.version})"
    for name, rows in remains.tables.items():
        yield f"table        {name}: {rows} {'row' if rows == 1 else 'rows'}"
    for reference in remains.references:
        yield f"foreign key  {reference}"
    for permission in remains.permissions:
        yield f"permission   {permission}"


async def _prune(site: Site) -> list[str]:
    files = Files(site.settings.files)
    # Rows that are not seen would lose their files: the schema must be current, and all its plugins active.
    async with site.current() as database:
        if unseen := await strangers(database):
            raise StartError(f"The tables of {', '.join(unseen)} may point to files, and these plugins are not active.")
        if (state := await check_files(files)) != OK:
            raise StartError(f"files.url: {state}")
        with database.bound():
            return await files.prune(lambda: used_digests(current_models()))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
