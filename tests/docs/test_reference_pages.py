"""The reference is current, and describes every name of the interface in a sentence."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import griffe
import pytest
from pages import DOCS, ROOT

import jobbergate_server
from jobbergate_devkit.reference.pages import api_errors, pages, settings_tables, write
from jobbergate_devkit.testing import conformance, fixtures
from jobbergate_server.cli.main import main
from jobbergate_server.http import fields
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import HOOKS, Plugins
from jobbergate_server.settings import Settings, environment_name, subtable

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = DOCS / "reference"
SETTINGS = Settings.model_construct()
CONTRIBUTIONS = collect(Plugins(discover(), SETTINGS.plugins), SETTINGS)
SENTENCE = re.compile(r"\S.*\.", re.DOTALL)
FIELDS = sorted({name for name in fields.__all__ if inspect.isclass(getattr(fields, name))} - {"Scalar", "Schema"})

Described = Iterator[tuple[str, str, str]]
"""The page that describes something, its entry there, and its sentence."""


def settings() -> Described:
    for path, model in settings_tables(CONTRIBUTIONS):
        yield "settings.md", f"## `{'.'.join(path)}`", model.__doc__ or ""
        for name, field in model.model_fields.items():
            if subtable(field) is None:
                yield "settings.md", f"| `{environment_name(*path, name)}` |", field.description or ""


def permissions_and_events() -> Described:
    for contribution in CONTRIBUTIONS:
        for permission in contribution.permissions:
            yield "permissions.md", f"| `{permission.name}` |", permission.description
        for event in contribution.events:
            yield "events.md", f"| `{event.name}` |", event.description


def errors() -> Described:
    for error in api_errors():
        yield "errors.md", f"| `{error.__name__}` | {error.status} ", error.__doc__ or ""


DESCRIBED = sorted({*settings(), *permissions_and_events(), *errors()})


def test_the_pages_are_current() -> None:
    assert {name: (REFERENCE / name).read_text() for name in pages()} == pages(), "run `make reference`"


def test_make_writes_the_pages(tmp_path: Path) -> None:
    write(tmp_path / "reference")
    assert {path.name: path.read_text() for path in (tmp_path / "reference").iterdir()} == pages()


@pytest.mark.parametrize(("page", "entry", "sentence"), DESCRIBED, ids=[f"{it[0]} {it[1]}" for it in DESCRIBED])
def test_everything_is_in_the_reference_in_words(page: str, entry: str, sentence: str) -> None:
    assert entry in (REFERENCE / page).read_text(), "run `make reference`"
    assert SENTENCE.fullmatch(first_paragraph(sentence))


def first_paragraph(docstring: str) -> str:
    return inspect.cleandoc(docstring).split("\n\n")[0]


def words(markdown: str) -> str:
    """The words without markup."""
    return " ".join(markdown.replace("`", "").split())


def words_of_html(text: str) -> str:
    """The same of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


class Page:
    """A built page, as the text below each of its headings."""

    def __init__(self, site: Path, name: str) -> None:
        parts = re.split(r'<h\d id="([^"]+)"', (site / "reference" / name).read_text())
        self.sections = dict(zip(parts[1::2], map(words_of_html, parts[2::2]), strict=True))

    def lacks(self, names: dict[str, griffe.Object | griffe.Alias]) -> list[str]:
        """The headings without a section, and those without the sentence of the object."""
        return [
            heading
            for heading, described in names.items()
            if described.docstring is None
            or not SENTENCE.fullmatch(sentence := words(first_paragraph(described.docstring.value)))
            or sentence not in self.sections.get(heading, "")
        ]


@pytest.fixture(scope="module")
def server() -> griffe.Object | griffe.Alias:
    """The package of the public names, as the documentation reads it."""
    return griffe.load("jobbergate_server", search_paths=[ROOT / "core/src"])


@pytest.fixture(scope="module")
def kit() -> griffe.Object | griffe.Alias:
    """The package of the test kit, as the documentation reads it."""
    return griffe.load("jobbergate_devkit.testing", search_paths=[ROOT / "devkit/src"])


def test_every_public_name_is_described(site: Path, server: griffe.Object) -> None:
    names = {f"jobbergate_server.{name}": server[name] for name in set(jobbergate_server.__all__) - {"fields"}}
    names |= {f"jobbergate_server.fields.{name}": server[f"http.fields.{name}"] for name in FIELDS}
    assert Page(site, "python.html").lacks(names) == []


def test_every_hook_is_described(site: Path, server: griffe.Object) -> None:
    module = "plugins.hookspecs"
    page = Page(site, "plugins.html")
    assert page.lacks({f"jobbergate_server.{module}.{name}": server[f"{module}.{name}"] for name in HOOKS}) == []
    assert {name.rpartition(".")[2] for name in page.sections} - {"hooks"} == set(HOOKS)


def test_every_fixture_and_every_conformance_test_is_described(site: Path, kit: griffe.Object) -> None:
    names = [f"fixtures.{name}" for name in fixtures.__all__ if not name.startswith("pytest_")]
    tests = vars(conformance("licences").__base__)
    names += [f"conformance.Conformance.{name}" for name in tests if name.startswith("test_")]
    names += ["MakeApp", "MakeApp.__call__", "Served", "Served.client_as", "conformance.conformance"]
    described = {f"jobbergate_devkit.testing.{name}": kit[name] for name in names}
    assert Page(site, "testing.html").lacks(described) == []


def commands(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    """The contexts of all commands in the group, including groups."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner
        if isinstance(command, click.Group):
            yield from commands(command, inner)


def test_every_command_and_every_option_is_described(site: Path) -> None:
    sections = Page(site, "commands.html").sections
    found = list(commands(main, click.Context(main, info_name="jobbergate-server")))
    assert {context.command_path.replace(" ", "-") for context in found} == sections.keys() - {
        "commands",
        "jobbergate-server",
    }
    for context in found:
        section = sections[context.command_path.replace(" ", "-")]
        options = [option for option in context.command.params if isinstance(option, click.Option)]
        for sentence in (context.command.help or "", *(option.help or "" for option in options)):
            assert SENTENCE.fullmatch(first_paragraph(sentence))
            assert words(first_paragraph(sentence)) in section
        for option in options:
            assert all(spelling in section for spelling in (*option.opts, *option.secondary_opts))
