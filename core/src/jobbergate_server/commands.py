"""The group of all commands: those of the server, and those that plugins bring."""

import asyncio
import inspect
from collections.abc import Awaitable
from pathlib import Path

import click

from jobbergate_server.contributions import Contribution
from jobbergate_server.discovery import discover
from jobbergate_server.dispatch import Dispatcher
from jobbergate_server.issuer import NoIssuer
from jobbergate_server.plugins import OWN, StartError
from jobbergate_server.settings import SettingsError
from jobbergate_server.site import Site

CONFIG = "--config"
CONFIG_HELP = "A TOML file with settings; environment variables JOBBERGATE_… win over it."
CONFIG_TYPE = click.Path(path_type=Path, dir_okay=False)


class Commands(click.Group):
    """The commands of the server, and for each plugin a group of its slug with the commands that it brings.

    What stops a command is told as a message instead of a traceback.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SettingsError, StartError, NoIssuer) as error:
            raise click.ClickException(str(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The server's own commands, and the groups of plugins that have commands with the settings of now."""
        own = super().list_commands(ctx)
        try:
            groups = [it.plugin.slug for it in Site.load(None).contributions if it.plugin.slug != OWN and it.commands]
        except (SettingsError, StartError):
            groups = []  # the command that is chosen will say what is wrong
        return [*own, *groups]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of the server, or the group of the plugin, of that name."""
        command = super().get_command(ctx, cmd_name)
        if command is None and any(plugin.slug == cmd_name for plugin in discover()):
            return PluginCommands(cmd_name)
        return command


class PluginCommands(click.Group):
    """The commands of one plugin, which are known when its settings are read."""

    def __init__(self, slug: str) -> None:
        option = click.Option([CONFIG], type=CONFIG_TYPE, help=CONFIG_HELP)
        super().__init__(slug, params=[option], help=f"Commands of the plugin {slug}.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands that the plugin brings."""
        return [str(command.name) for command in self._contribution(ctx).commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The plugin's command of that name."""
        return next((it for it in self._contribution(ctx).commands if it.name == cmd_name), None)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a coroutine runs with the database connected."""
        result = super().invoke(ctx)
        return asyncio.run(_with_database(self._site(ctx), result)) if inspect.isawaitable(result) else result

    def _site(self, ctx: click.Context) -> Site:
        if ctx.obj is None:
            ctx.obj = Site.load(ctx.params.get("config"))
        site: Site = ctx.obj
        return site

    def _contribution(self, ctx: click.Context) -> Contribution:
        found = [it for it in self._site(ctx).contributions if it.plugin.slug == self.name]
        if not found:
            raise click.ClickException(f"The plugin {self.name!r} is not active.")
        return found[0]


async def _with_database(site: Site, work: Awaitable[object]) -> object:
    try:
        async with site.current() as database:
            dispatcher = Dispatcher(site.plugins, site.contributions, database)
            database.record, database.publish = dispatcher.record, dispatcher.publish
            with database.bound():
                result = await work
            await dispatcher.close()
            return result
    finally:
        if inspect.iscoroutine(work):
            work.close()  # without a database it has not begun
