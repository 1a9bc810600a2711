"""The commands of an operator."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from jobbergate_server.app import create_app
from jobbergate_server.auth.permissions import Permission
from jobbergate_server.cli.check import run_checks
from jobbergate_server.cli.options import config_option, configure, port_option
from jobbergate_server.database.file_field import used_digests
from jobbergate_server.database.health import OK
from jobbergate_server.database.rows import current_models
from jobbergate_server.errors import StartError
from jobbergate_server.files import Files
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.plugin import State
from jobbergate_server.routing.route import MOUNT
from jobbergate_server.service.health import check_files
from jobbergate_server.serving import processes
from jobbergate_server.tables.migrations import migrate, strangers
from jobbergate_server.tables.removal import Remains, examine, remove


@click.command()
@config_option
@click.option("--host", help="The address to listen on: server.host.")
@port_option
@click.option("--workers", type=click.IntRange(1), help="Number of processes that serve: server.workers.")
def serve(config: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve for production, behind the OpenID Connect provider `oidc.issuer`."""
    settings = configure(config, host, port, workers)
    processes.serve(lambda: create_app(settings), processes.listen(settings.server), settings.server.workers)


@click.command("migrate")
@config_option
def apply_migrations(config: Path | None) -> None:
    """Apply missing migrations to the database, and print their names."""
    applied = asyncio.run(_migrate(Installation.load(config)))
    for name in applied:
        click.echo(name)
    if not applied:
        click.echo("The database schema is up to date.")


@click.group("plugins", invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugin_commands(context: click.Context, config: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's options
    """List the installed plugins and their states, in load order."""
    if context.invoked_subcommand is not None:
        return
    rows = [
        {"name": plugin.slug, "version": plugin.version, "state": plugin.state, "reason": plugin.reason}
        for plugin in Installation.load(config).plugins.installed
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
@click.option("--yes", is_flag=True, help="Remove the tables. Without it, only list them.")
def remove_plugin(slug: str, config: Path | None, yes: bool) -> None:  # noqa: FBT001 - click's options
    """Remove the tables of a plugin from the database, even after its distribution was uninstalled."""
    for line in asyncio.run(_remove(Installation.load(config), slug, yes=yes)):
        click.echo(line)


@click.command()
@config_option
def audit(config: Path | None) -> None:
    """List every route with its method, path, required permission and plugin."""
    _print_table(
        [
            route.method,
            MOUNT + route.location(contribution.plugin.slug),
            route.permission.name if isinstance(route.permission, Permission) else route.permission.name.lower(),
            contribution.plugin.slug,
        ]
        for contribution in Installation.load(config).contributions
        for route in contribution.routes
    )


@click.command()
@config_option
def check(config: Path | None) -> None:
    """Check settings, database, schema, issuer and file store; exit with 1 if a check fails."""
    results = asyncio.run(run_checks(config))
    for name, result in results.items():
        click.echo(f"{name}: {result}")
    if any(result != OK for result in results.values()):
        raise click.exceptions.Exit(1)


@click.group("files")
def file_commands() -> None:
    """Manage the stored files."""


@file_commands.command()
@config_option
def prune(config: Path | None) -> None:
    """Delete the files that no row has referenced for a day, and print their digests."""
    removed = asyncio.run(_prune(Installation.load(config)))
    for digest in removed:
        click.echo(digest)
    if not removed:
        click.echo("No files to delete.")


async def _migrate(installation: Installation) -> list[str]:
    async with installation.connected() as database:
        return await migrate(database, installation.contributions)


async def _remove(installation: Installation, slug: str, *, yes: bool) -> list[str]:
    """Remove the tables of the plugin if ``yes``; return the lines to print."""
    async with installation.current() as database:
        remains = await examine(database, slug)
        lines = list(_lines(remains))
        if not yes:
            return [*lines, "Nothing was removed. --yes removes the tables with all their rows."]
        if any(plugin.slug == slug and plugin.state is not State.DISABLED for plugin in installation.plugins.installed):
            raise StartError(
                f"The plugin {slug!r} is active. Before you remove its tables, uninstall {remains.distribution}, or "
                "add the plugin to plugins.disabled."
            )
        await remove(database, remains)
        return [*lines, "The tables were removed. Revoke the permissions at the OpenID Connect provider."]


def _lines(remains: Remains) -> Iterable[str]:
    yield f"{remains.slug} ({remains.distribution} {remains.version})"
    for name, rows in remains.tables.items():
        yield f"table        {name}: {rows} {'row' if rows == 1 else 'rows'}"
    for reference in remains.references:
        yield f"foreign key  {reference}"
    for permission in remains.permissions:
        yield f"permission   {permission}"


async def _prune(installation: Installation) -> list[str]:
    files = Files(installation.settings.files)
    # Rows of unloaded models would lose their files: the schema must be current, and all its plugins active.
    async with installation.current() as database:
        if unseen := await strangers(database):
            raise StartError(
                f"The tables of {', '.join(unseen)} may reference files, but these plugins are not active. Activate "
                "them, or remove their tables."
            )
        if (state := await check_files(files)) != OK:
            raise StartError(f"files.url: {state}")
        with database.bound():
            return await files.prune(lambda: used_digests(current_models()))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
