"""The reference is current, and says something of everything that there is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import pytest
from pages import DOCS
from pydantic import BaseModel

import jobbergate_server
from jobbergate_devkit.reference.pages import (
    CONSTANTS,
    FIELDS,
    all_commands,
    api_errors,
    is_fixture,
    kit,
    pages,
    settings_tables,
    write,
)
from jobbergate_devkit.testing import conformance, fixtures
from jobbergate_server.http import fields
from jobbergate_server.plugins import hookspecs
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import HOOKS, Plugins
from jobbergate_server.settings import Settings, environment_name

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = DOCS / "reference"
SETTINGS = Settings.model_construct()
CONTRIBUTIONS = collect(Plugins(discover(), SETTINGS.plugins), SETTINGS)
SENTENCE = re.compile(r"\S.*\.", re.DOTALL)


Described = Iterator[tuple[str, str, str]]
"""What the reference has to name: its page, how it stands there, and its sentence."""


def hooks() -> Described:
    for name in HOOKS:
        yield "plugins.md", f"## `{name}`", getattr(hookspecs, name).__doc__ or ""


def settings() -> Described:
    for path, model in settings_tables(CONTRIBUTIONS):
        yield "settings.md", f"## `{'.'.join(path)}`", model.__doc__ or ""
        for name, field in model.model_fields.items():
            if not (inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel)):
                yield "settings.md", f"| `{environment_name(*path, name)}` |", field.description or ""


def permissions_and_events() -> Described:
    for contribution in CONTRIBUTIONS:
        for permission in contribution.permissions:
            yield "permissions.md", f"| `{permission.name}` |", permission.description
        for event in contribution.events:
            yield "events.md", f"| `{event.name}` |", event.description


def commands() -> Described:
    for name, command in all_commands(CONTRIBUTIONS):
        yield "commands.md", f"## `{name}", command.help or ""


def fixtures_and_promises() -> Described:
    defined = kit()
    for name in fixtures.__all__:
        if name in defined and is_fixture(defined[name]):
            yield "testing.md", f"### `{name}`", ast.get_docstring(defined[name]) or ""
    for name, function in vars(conformance("licences").__base__).items():
        if name.startswith("test_"):
            yield "testing.md", f"| `{name}` |", function.__doc__ or ""


def public_names() -> Described:
    errors = {error.__name__: error for error in api_errors()}
    for name, error in errors.items():
        yield "errors.md", f"| `{name}` | {error.status} ", error.__doc__ or ""
    for name in FIELDS:
        yield "python.md", f"| `fields.{name}` |", getattr(fields, name).__doc__ or ""
    for name in set(jobbergate_server.__all__) - errors.keys():
        if name in CONSTANTS:
            yield "python.md", f"| `{name}` |", CONSTANTS[name]
        else:
            page = "errors.md" if name == "ApiError" else "python.md"
            yield page, f"### `{name}`", inspect.getdoc(getattr(jobbergate_server, name)) or ""


DESCRIBED = sorted(
    {*hooks(), *settings(), *permissions_and_events(), *commands(), *fixtures_and_promises(), *public_names()}
)


def test_the_pages_are_current() -> None:
    assert {path.name: path.read_text() for path in REFERENCE.glob("*.md")} == pages(), "run `make reference`"


def test_make_writes_the_pages(tmp_path: Path) -> None:
    write(tmp_path / "reference")
    assert {path.name for path in (tmp_path / "reference").iterdir()} == {path.name for path in REFERENCE.iterdir()}


@pytest.mark.parametrize(("page", "entry", "sentence"), DESCRIBED, ids=[f"{it[0]} {it[1]}" for it in DESCRIBED])
def test_everything_is_in_the_reference_in_words(page: str, entry: str, sentence: str) -> None:
    assert entry in (REFERENCE / page).read_text(), "run `make reference`"
    assert SENTENCE.fullmatch(inspect.cleandoc(sentence).split("\n\n")[0])


@pytest.mark.parametrize(("name", "command"), list(all_commands(CONTRIBUTIONS)))
def test_every_option_of_a_command_is_under_its_name_in_words(name: str, command: click.Command) -> None:
    sections = (REFERENCE / "commands.md").read_text().split("\n## `")
    (section,) = (text for text in sections if re.match(rf"{name}( [A-Z]|`)", text))
    for option in command.params:
        if isinstance(option, click.Option):
            assert SENTENCE.fullmatch(option.help or "")
            assert all(f"`{spelling}`" in section for spelling in (*option.opts, *option.secondary_opts))


def test_a_constant_that_is_gone_is_not_explained() -> None:
    assert set(CONSTANTS) <= set(jobbergate_server.__all__)


def test_the_fields_are_all_that_there_are() -> None:
    classes = {name for name in fields.__all__ if inspect.isclass(getattr(fields, name))}
    assert classes - {"Scalar", "Schema"} == set(FIELDS)
