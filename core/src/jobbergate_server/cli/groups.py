"""The commands of plugins: a group for each plugin, with the plugin's slug as its name."""

import asyncio
import inspect
from collections.abc import Awaitable

import click

from jobbergate_server.cli.options import CONFIG_HELP, CONFIG_TYPE
from jobbergate_server.errors import StartError
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.discovery import discover


def slugs() -> list[str]:
    """Return the slugs of the plugins with commands, from the settings of the environment alone."""
    try:
        return [it.plugin.slug for it in Installation.load(None).contributions if it.commands]
    except StartError:
        return []  # the command that is called reports the error


def find(slug: str) -> click.Group | None:
    """Return the group of the installed plugin ``slug``."""
    return PluginCommands(slug) if any(plugin.slug == slug for plugin in discover()) else None


class PluginCommands(click.Group):
    """The commands of one plugin, which are loaded after the settings."""

    def __init__(self, slug: str) -> None:
        option = click.Option(["--config"], type=CONFIG_TYPE, help=CONFIG_HELP)
        super().__init__(slug, params=[option], help=f"Commands of the plugin {slug}.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the plugin's commands."""
        return [str(command.name) for command in self._contribution(ctx).commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the plugin's command of that name."""
        return next((it for it in self._contribution(ctx).commands if it.name == cmd_name), None)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; connect the database for a coroutine."""
        result = super().invoke(ctx)
        return asyncio.run(_with_database(self._installation(ctx), result)) if inspect.isawaitable(result) else result

    def _installation(self, ctx: click.Context) -> Installation:
        if ctx.obj is None:
            ctx.obj = Installation.load(ctx.params.get("config"))
        installation: Installation = ctx.obj
        return installation

    def _contribution(self, ctx: click.Context) -> Contribution:
        found = [it for it in self._installation(ctx).contributions if it.plugin.slug == self.name]
        if not found:
            raise click.ClickException(f"The plugin {self.name!r} is not active.")
        return found[0]


async def _with_database(installation: Installation, work: Awaitable[object]) -> object:
    try:
        async with installation.current() as database:
            with database.bound():
                return await work
    finally:
        if inspect.iscoroutine(work):
            work.close()  # without a database, the coroutine has not started
