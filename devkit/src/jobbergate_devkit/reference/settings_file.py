"""The reference of all settings, as a TOML file with their defaults.

`python -m jobbergate_devkit.reference.settings_file` prints it; `make config` writes it to `config/jobbergate.toml`.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator
from inspect import cleandoc

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from jobbergate_server import settings
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Section, Settings, environment_name, subtable

WIDTH = 120
HEAD = """
The settings of Jobbergate Server with their defaults. Settings without a default are commented out.

Pass the file with `--config`. The environment variable above a setting overrides it. A list in a variable is JSON.

Written by `make config` from the settings models of the server and of the installed plugins.
"""


def settings_toml(installed: Iterable[Plugin] | None = None) -> str:
    """Return the reference, with the settings of the plugins of this environment or of ``installed``.

    Raises:
        StartError: A plugin failed.
    """
    plugins = Plugins(discover() if installed is None else installed, settings.Plugins())
    lines = [*_comment(HEAD)]
    for name, field in Settings.model_fields.items():
        if (table := subtable(field)) is not None:
            lines += _table(table, name)
    for plugin in plugins.active:
        model: type[Section] | None = plugins.call_one(plugin, "register_settings")
        if model is not None:
            lines += _table(model, "plugins", plugin.slug)
    plugins.refuse_failures()
    return "\n".join(lines) + "\n"


def _table(model: type[BaseModel], *path: str) -> Iterator[str]:
    yield from ("", "")
    yield from _comment(model.__doc__ or "")
    yield f"[{'.'.join(path)}]"
    tables = {name: subtable(field) for name, field in model.model_fields.items()}
    for name, field in model.model_fields.items():
        if tables[name] is None:
            yield ""
            yield from _comment(field.description or "")
            yield f"# {environment_name(*path, name)}"
            yield _assignment(name, field)
    for name, table in tables.items():
        if table is not None:
            yield from _table(table, *path, name)


def toml_value(field: FieldInfo) -> str | None:
    """Return the default of the setting in TOML; None if it has no default."""
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return None if default is None else _value(default)


def _assignment(name: str, field: FieldInfo) -> str:
    default = toml_value(field)
    return f"# {name} = …" if default is None else f"{name} = {default}"


def _value(value: object) -> str:
    """Return the value in TOML.

    >>> _value({"origins": ["https://portal.example.com"], "every": True})
    '{"origins" = ["https://portal.example.com"], "every" = true}'
    """
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    value = to_jsonable_python(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> Iterator[str]:
    for paragraph in cleandoc(text).split("\n\n"):
        yield from (f"# {line}" for line in textwrap.wrap(paragraph, WIDTH - 2, break_on_hyphens=False))


if __name__ == "__main__":
    click.echo(settings_toml(), nl=False)
