"""The settings reference: complete, in words, current, and itself a file that the server accepts."""

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr

from jobbergate_devkit.reference.settings_file import settings_toml
from jobbergate_server import Section, hookimpl
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Settings, load_settings
from jobbergate_server.settings_sources import PREFIX

FILE = Path(__file__).parents[2] / "config" / "jobbergate.toml"


class Retries(Section):
    """How often a call is tried."""

    most: int = 3
    """The most tries."""


class Portal(Section):
    """Where the portal is.

    Only its own pages are shown.
    """

    url: str
    """The portal's address."""
    token: SecretStr = SecretStr('a "quoted" word')
    """What the portal wants to hear."""
    retries: Retries = Retries()
    """How often a call is tried."""
    headers: dict[str, list[str]] = Field(default_factory=lambda: {"Accept": ["text/html", "*/*"]})
    """What is sent along."""


@hookimpl
def register_settings() -> type[Portal]:
    """This module is a plugin with settings."""
    return Portal


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def fields(model: type[BaseModel], *path: str) -> Iterator[tuple[str, str]]:
    """The dotted name and the sentence of every table and every setting below ``model``."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield ".".join((*path, name)), field.annotation.__doc__ or ""
            yield from fields(field.annotation, *path, name)
        else:
            yield ".".join((*path, name)), field.description or ""


def collected(settings: Settings) -> list[Contribution]:
    return collect(Plugins(discover(), settings.plugins), settings)


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """The settings models of the installed plugins, with the dotted names of their tables."""
    for contribution in collected(load_settings()):
        if contribution.context.settings is not None and contribution.context.settings.model_dump():
            yield f"plugins.{contribution.plugin.slug}", type(contribution.context.settings)


FIELDS = dict(fields(Settings))
for table, model in models():
    FIELDS |= {table: model.__doc__ or "", **dict(fields(model, table))}
TABLES = {name for name in FIELDS if any(other.startswith(f"{name}.") for other in FIELDS)}
SETTINGS = [name for name in FIELDS if name not in TABLES]


def effective(file: Path | None = None) -> list[object]:
    """All settings that the server and its plugins work with."""
    settings = load_settings(file)
    own = settings.model_dump(exclude={"plugins"})
    plugins = settings.plugins.model_dump(include={"disabled", "optional"})
    return [own, plugins, *(contribution.context.settings for contribution in collected(settings))]


def test_the_file_is_current() -> None:
    assert FILE.read_text() == settings_toml(), "run `make config`"


@pytest.mark.parametrize("name", FIELDS)
def test_every_table_and_every_setting_has_a_sentence(name: str) -> None:
    assert re.fullmatch(r"\S.*\.", FIELDS[name], re.DOTALL)


def test_the_file_holds_every_setting_with_its_variable() -> None:
    text = FILE.read_text()
    assert re.findall(r"^# JOBBERGATE_(\w+)$", text, re.MULTILINE) == [
        name.replace(".", "__").replace("-", "_").upper() for name in SETTINGS
    ]
    assert re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE) == [name.rpartition(".")[2] for name in SETTINGS]


def test_the_file_loads_as_the_defaults() -> None:
    assert effective(FILE) == effective()


def test_a_setting_without_a_default_is_commented_out() -> None:
    assert re.findall(r"^# (\w+) = …$", FILE.read_text(), re.MULTILINE)
    unset = [f"{table}.{name}" for table, model in load_settings() for name, value in model if value is None]
    given = tomllib.loads(FILE.read_text())
    own = [name for name in SETTINGS if not name.startswith("plugins.")]
    assert unset == [name for name in own if name.rpartition(".")[2] not in given[name.partition(".")[0]]]


def test_every_variable_named_in_the_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[database]\nurl = "postgresql://db/x"\n[server]\nport = 1\n[cors]\norigins = ["*"]\n')
    assert effective(other) != effective()
    text = FILE.read_text()
    for name, assignment in re.findall(r"^# (JOBBERGATE_\w+)\n(\w.*)$", text, re.MULTILINE):
        value = assignment.partition(" = ")[2]
        monkeypatch.setenv(name, value.strip('"'))
    assert effective(other) == effective(FILE)


def test_a_plugin_with_settings_has_its_table() -> None:
    acme = Plugin("acme-portal", sys.modules[__name__], "acme", "1")
    tables = settings_toml([acme]).removeprefix(settings_toml([]))
    assert (
        tables
        == """

# Where the portal is.
# Only its own pages are shown.
[plugins.acme-portal]

# The portal's address.
# JOBBERGATE_PLUGINS__ACME_PORTAL__URL
# url = …

# What the portal wants to hear.
# JOBBERGATE_PLUGINS__ACME_PORTAL__TOKEN
token = "a \\"quoted\\" word"

# What is sent along.
# JOBBERGATE_PLUGINS__ACME_PORTAL__HEADERS
headers = {Accept = ["text/html", "*/*"]}


# How often a call is tried.
[plugins.acme-portal.retries]

# The most tries.
# JOBBERGATE_PLUGINS__ACME_PORTAL__RETRIES__MOST
most = 3
"""
    )
    table = tomllib.loads(tables)["plugins"]["acme-portal"]
    assert Portal.model_validate({**table, "url": "https://portal.example.com"}) == Portal(
        url="https://portal.example.com"
    )


def test_the_installed_plugins_are_those_that_are_shown() -> None:
    assert settings_toml() == settings_toml(discover())
