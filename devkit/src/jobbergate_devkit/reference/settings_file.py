"""The settings file: a TOML file with every setting and its default.

`python -m jobbergate_devkit.reference.settings_file` prints it. `make config` writes it to `config/jobbergate.toml`.
"""

import textwrap
from collections.abc import Iterable
from inspect import cleandoc

import click
import tomlkit
from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from tomlkit import TOMLDocument
from tomlkit.items import Item, Table

from jobbergate_server import settings
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Section, Settings, environment_name, subtable

WIDTH = 120
"""Characters in a line of a comment."""
HEAD = """
The settings of Jobbergate Server with their defaults. Settings without a default are commented out.

Pass the file with `--config`. The environment variable above a setting overrides it. A list in a variable is JSON.

Written by `make config` from the settings models of the server and of the installed plugins.
"""
JSON: TypeAdapter[object] = TypeAdapter(object)
"""The conversion of a default to what JSON and TOML can express."""


def settings_toml(installed: Iterable[Plugin] | None = None) -> str:
    """Return the file, with a table for each plugin of this environment, or of ``installed``, that has settings.

    Raises:
        StartError: A plugin cannot be imported, or its hook `register_settings` fails.
    """
    plugins = Plugins(discover() if installed is None else installed, settings.Plugins())
    document = tomlkit.document()
    _add_comment(document, HEAD)
    for name, field in Settings.model_fields.items():
        if (table := subtable(field)) is not None:
            last = _add_table(document, table, name)
    for plugin in plugins.active:
        model: type[Section] | None = plugins.call_one(plugin, "register_settings")
        if model is not None:
            _add_table(last, model, "plugins", plugin.slug)
    plugins.refuse_failures()
    return document.as_string()


def toml_value(field: FieldInfo) -> Item | None:
    """Return the default of the setting in TOML, or None if it has no default."""
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return None
    value = JSON.dump_python(default.get_secret_value() if isinstance(default, SecretStr) else default, mode="json")
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    item: Item = tomlkit.item(value)
    return item


def _add_table(parent: TOMLDocument | Table, model: type[BaseModel], *path: str) -> Table:
    parent.add(tomlkit.ws("\n\n"))
    _add_comment(parent, model.__doc__ or "")
    table = tomlkit.table()
    parent.add(path[-1], table)
    table.trivia.indent = ""  # without the line that tomlkit inserts between a comment and its table
    tables = {name: subtable(field) for name, field in model.model_fields.items()}
    for name, field in model.model_fields.items():
        if tables[name] is None:
            table.add(tomlkit.nl())
            _add_comment(table, field.description or "")
            table.add(tomlkit.comment(environment_name(*path, name)))
            if (default := toml_value(field)) is None:
                table.add(tomlkit.comment(f"{name} = …"))
            else:
                table.add(name, default)
    for name, inner in tables.items():
        if inner is not None:
            _add_table(table, inner, *path, name)
    return table


def _add_comment(parent: TOMLDocument | Table, text: str) -> None:
    for paragraph in cleandoc(text).split("\n\n"):
        for line in textwrap.wrap(paragraph, WIDTH - 2, break_on_hyphens=False):
            parent.add(tomlkit.comment(line))


if __name__ == "__main__":
    click.echo(settings_toml(), nl=False)
