"""Entry points with which distributions contribute plugins and commands.

This module imports no framework, because the command line imports it at every start.
"""

from importlib.metadata import EntryPoint, entry_points

PLUGINS = "jobbergate.plugins"
COMMANDS = "jobbergate.commands"


def command_entries() -> dict[str, EntryPoint]:
    """Return the commands of the server and of its devkit, by name; commands of plugins are in their own groups."""
    return {entry.name: entry for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name)}
