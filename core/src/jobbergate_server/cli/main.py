"""The command `jobbergate-server`: a group that loads a command when it is called.

Nothing here imports the framework, so that `--version` and a misspelt command respond at once.
"""

from pkgutil import resolve_name

import click

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.entry_points import command_entries

PLUGIN_GROUPS = "jobbergate_server.cli.groups"
"""The module with the commands of plugins. It imports the framework."""


class Commands(click.Group):
    """The commands of the server and of its devkit, and one group of commands for each plugin.

    A `StartError` ends a command with its text instead of a traceback.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StartError as error:
            raise click.ClickException(str(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, and the slugs of the plugins with commands."""
        del ctx  # the settings of `--config` belong to a command, not to this group
        slugs: list[str] = resolve_name(f"{PLUGIN_GROUPS}:slugs")()
        return [*command_entries(), *slugs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or the group of the plugin, of that name."""
        del ctx
        if entry := command_entries().get(cmd_name):
            command: click.Command = entry.load()
            return command
        group: click.Command | None = resolve_name(f"{PLUGIN_GROUPS}:find")(cmd_name)
        return group


@click.group(cls=Commands)
@click.version_option(package_name="jobbergate-server", prog_name="jobbergate-server")
def main() -> None:
    """Run and manage the REST API of Jobbergate."""
