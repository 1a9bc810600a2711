"""Entry points by which distributions bring plugins and commands.

This module imports nothing heavy, because the command line reads it at every start.
"""

from importlib.metadata import EntryPoint, entry_points

PLUGINS = "jobbergate.plugins"
COMMANDS = "jobbergate.commands"


def command_entries() -> dict[str, EntryPoint]:
    """Return the commands of the server and of its devkit, by name; plugins bring theirs in groups of their own."""
    return {entry.name: entry for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name)}
