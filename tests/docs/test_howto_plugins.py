"""The how-to pages about plugins: their code is run against the plugin that they are about."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import printed
from distributions import install
from pages import DOCS, ROOT, of
from processes import passes_its_tests
from processes import printed as printed_by_process

from jobbergate_devkit.testing import fixtures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIGRATIONS = DOCS / "howto/migrations.md"
COLUMN = "    seats = columns.IntField(db_index=True)\n"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the plugin of the examples, for changes."""
    return shutil.copytree(ROOT / "examples/plugins/licences", tmp_path / "acme-licences")


def changed(plugin: Path, change: Callable[[str], str]) -> Path:
    code = plugin / "src/acme_licences/__init__.py"
    code.write_text(change(code.read_text()))
    return code.with_name("migrations")


def test_the_table_names_fixtures_of_the_kit() -> None:
    named = re.findall(r"^\| `(\w+)` \|", (DOCS / "howto/test-a-plugin.md").read_text(), re.MULTILINE)
    assert {"api", "client_as", "make_app", "served"} <= set(named) <= set(fixtures.__all__)


def test_the_tests_of_the_page_pass(plugin: Path, tmp_path: Path) -> None:
    for path in (plugin / "tests").iterdir():
        path.unlink()
    conformance, *others = of(DOCS / "howto/test-a-plugin.md", "python")
    for number, block in enumerate(others):
        (plugin / f"tests/test_page_{number}.py").write_text(f'"""Of the page."""\n\n{block.text}')
    (plugin / "tests/test_conformance.py").write_text(conformance.text)
    options = ("-k", "sqlite and (test_page or token)")
    variables = {"PYTHONPATH": install(plugin, tmp_path / "site")}
    assert passes_its_tests(tmp_path, plugin, *options, **variables).startswith("5 passed")


def test_the_migrations_of_the_page_bring_the_column_and_change_the_rows(plugin: Path, tmp_path: Path) -> None:
    column, schema, data, _ = (block.text for block in of(MIGRATIONS, "python"))
    variables = {"PYTHONPATH": install(plugin, tmp_path / "site")}
    printed(tmp_path, "migrate", **variables)
    with closing(sqlite3.connect(tmp_path / "var/jobbergate.db")) as connection, connection:
        connection.execute("INSERT INTO licences (feature, seats) VALUES ('cfd', 4)")

    migrations = changed(plugin, lambda code: code.replace(COLUMN, COLUMN + column))
    (migrations / "0002_add_field_vendor_to_licence.py").write_text(schema)
    (migrations / "0003_name_vendors.py").write_text(data)
    assert printed(tmp_path, "makemigrations", "licences", **variables) == "No changes.\n"
    applied = printed(tmp_path, "migrate", **variables).splitlines()
    assert applied == ["licences.0002_add_field_vendor_to_licence", "licences.0003_name_vendors"]
    with closing(sqlite3.connect(tmp_path / "var/jobbergate.db")) as connection:
        assert connection.execute("SELECT feature, vendor FROM licences").fetchall() == [("cfd", "site")]


def test_a_foreign_key_of_the_page_depends_on_the_other_plugin(plugin: Path, tmp_path: Path) -> None:
    *_, key = (block.text for block in of(MIGRATIONS, "python"))
    project = plugin / "pyproject.toml"
    required = 'dependencies = ["jobbergate-server>=0.1,<0.2", "jobbergate-job-scripts"]'
    project.write_text(project.read_text().replace('dependencies = ["jobbergate-server>=0.1,<0.2"]', required))
    migrations = changed(plugin, lambda code: code.replace(COLUMN, COLUMN + key))
    variables = {"PYTHONPATH": install(plugin, tmp_path / "site")}
    # In this process the relation would stay with the models of the other plugin.
    printed_by_process(tmp_path, "makemigrations", "licences", "--name", "scripts", **variables)
    assert "('job_scripts', '0001_initial')" in (migrations / "0002_scripts.py").read_text()
    assert "`dependencies = [('job_scripts', '0001_initial')]`" in MIGRATIONS.read_text()
