"""Migrations are made from the models: complete, without a database, or refused for a reason that helps."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
import zipfile
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from commands import refused
from processes import printed

from jobbergate_devkit.makemigrations import NewMigration, new_migration
from jobbergate_server.errors import StartError
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate

if TYPE_CHECKING:
    from conftest import Site

pytestmark = pytest.mark.usefixtures("clean_environment")

ROOT = Path(__file__).parents[2]
WITH_MODELS = [it.slug for it in discover() if hasattr(it.load(), "register_models")]
HEAD = """
from jobbergate_server import FileField, Models, hookimpl
from tortoise import Model, fields

@hookimpl
def register_models():
    return Models(__name__, migrations=f"{__name__}.migrations")
"""
SEAT = """
class Seat(Model):
    id = fields.IntField(primary_key=True)
"""


def package(site: Site, slug: str, models: str, requires: tuple[str, ...] = ()) -> Path:
    """Install a plugin with these models and without migrations; the file of its code."""
    module = site.install(slug, HEAD + dedent(models), requires=requires)
    code = site.folder / module / "__init__.py"
    code.parent.mkdir()
    return (site.folder / f"{module}.py").rename(code)


def made(slug: str, name: str | None = None) -> NewMigration:
    """The next migration, written; code of plugins that has changed meanwhile is read anew."""
    for module in [module for module in sys.modules if module.startswith("site_")]:
        del sys.modules[module]
    invalidate_caches()
    migration = new_migration(slug, name)
    assert migration is not None
    migration.write()
    return migration


def refusal(slug: str) -> str:
    """Return the reason why no migration is made."""
    with pytest.raises(StartError) as failure:
        new_migration(slug)
    return str(failure.value)


@pytest.mark.parametrize("slug", WITH_MODELS)
def test_the_installed_plugins_have_every_migration_that_they_need(slug: str) -> None:
    assert new_migration(slug) is None


@pytest.mark.parametrize(("slug", "needed"), [("job-scripts", "applications"), ("job-submissions", "job_scripts")])
def test_a_bundled_plugin_written_anew_waits_for_the_tables_that_it_points_to(
    slug: str, needed: str, tmp_path: Path
) -> None:
    name = f"jobbergate_{slug.replace('-', '_')}"
    source = ROOT / "plugins" / slug.replace("-", "_") / "src" / name
    copy = tmp_path / name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("migrations", "__pycache__"))
    # In this process the models of the installed plugin are imported already.
    printed(tmp_path, "makemigrations", slug, PYTHONPATH=str(tmp_path))
    written = (copy / "migrations/0001_initial.py").read_text()
    assert f"    dependencies = [('{needed}', '0001_initial')]\n" in written
    tables = re.findall("options={'table': '([a-z_]+)'", (source / "migrations/0001_initial.py").read_text())
    assert re.findall("options={'table': '([a-z_]+)'", written) == tables != []


def test_a_first_migration_makes_its_package_and_waits_for_other_plugins(site: Site) -> None:
    code = package(
        site,
        "alpha",
        """
        class Seat(Model):
            id = fields.IntField(primary_key=True)
            script = fields.ForeignKeyField("job_scripts.JobScript", related_name=False, null=True, db_index=True)
            applications = fields.ManyToManyField("applications.Application", related_name="seats", through="seatings")
            plan = FileField()
        """,
        requires=("jobbergate-job-scripts",),
    )
    file = code.with_name("migrations") / "0001_initial.py"
    # Its relations would stay with the models of other plugins in this process.
    variables = {"PYTHONPATH": str(site.folder)}
    assert printed(site.folder, "makemigrations", "alpha", **variables) == f"{file}\n  Create model Seat\n"
    assert file.read_text().splitlines()[:16] == [
        '"""The table `seat`."""',
        "",
        "from tortoise import migrations",
        "from tortoise.migrations import operations as ops",
        "from jobbergate_server import FileField",
        "from tortoise.fields.base import OnDelete",
        "from tortoise import fields",
        "",
        "class Migration(migrations.Migration):",
        "    dependencies = [('applications', '0001_initial'), ('job_scripts', '0001_initial')]",
        "",
        "    initial = True",
        "",
        "    operations = [",
        "        ops.CreateModel(",
        "            name='Seat',",
    ]
    assert "                ('plan', FileField()),\n" in file.read_text()
    assert file.with_name("__init__.py").read_text() == '"""Changes of the tables, in order."""\n'
    assert printed(site.folder, "makemigrations", "alpha", **variables) == "No changes.\n"
    assert "alpha.0001_initial" in printed(site.folder, "migrate", **variables).splitlines()


def test_a_migration_waits_for_the_one_that_brought_what_it_points_to(site: Site) -> None:
    alpha = package(site, "alpha", SEAT)
    made("alpha")
    append(alpha, "class Row(Model):\n    id = fields.IntField(primary_key=True)\n    note = fields.TextField()\n")
    made("alpha", "Rows of seats")
    point = '    {0} = fields.ForeignKeyField("alpha.{1}", related_name=False, null=True)\n'
    beta = package(site, "beta", SEAT + point.format("seat", "Seat"), requires=("site-alpha",))
    made("beta")
    append(beta, point.format("row", "Row") + point.format("other", "Seat"))
    assert made("beta").changes == ("Add field other to Seat", "Add field row to Seat")

    assert dependencies(alpha) == {
        "0001_initial": "",
        "0002_rows_of_seats": "    dependencies = [('alpha', '0001_initial')]",
    }
    assert dependencies(beta) == {
        "0001_initial": "    dependencies = [('alpha', '0001_initial')]",
        "0002_add_field_other_to_seat_and_more": (
            "    dependencies = [('alpha', '0002_rows_of_seats'), ('beta', '0001_initial')]"
        ),
    }


def append(code: Path, text: str) -> None:
    with code.open("a") as file:
        file.write(text)


def dependencies(code: Path) -> dict[str, str]:
    """For each migration the line that names those that it depends on."""
    found = {}
    for file in sorted(code.with_name("migrations").glob("0*.py")):
        lines = [line for line in file.read_text().splitlines() if line.startswith("    dependencies")]
        found[file.stem] = "\n".join(lines)
    return found


async def test_a_column_that_must_not_be_null_needs_a_value_for_the_rows_that_there_are(
    site: Site, empty_database_url: str
) -> None:
    code = package(site, "alpha", SEAT)
    made("alpha")
    await migrated(empty_database_url)
    await query(empty_database_url, "INSERT INTO seat (id) VALUES (1)")
    append(code, "    number = fields.IntField(default=1)\n")
    with pytest.raises(StartError) as failure:
        made("alpha")
    assert str(failure.value) == (
        "plugin 'alpha': Seat.number: New column is NOT NULL and has no default for existing rows. "
        "Set db_default or null=True."
    )

    code.write_text(code.read_text().replace("default=1", "db_default=23"))
    migration = made("alpha")
    assert migration.path == code.with_name("migrations") / "0002_add_field_number_to_seat.py"
    assert migration.path.read_text().startswith('"""Add field number to Seat."""\n')
    await migrated(empty_database_url)
    assert await query(empty_database_url, "SELECT number FROM seat") == [{"number": 23}]


def test_a_column_that_has_another_name_keeps_its_values(site: Site) -> None:
    code = package(site, "alpha", SEAT + "    number = fields.IntField()\n")
    made("alpha")
    code.write_text(code.read_text().replace("number =", "row =", 1))
    migration = made("alpha")
    assert migration.changes == ("Rename field number to row on Seat",)
    assert migration.path.name == "0002_rename_field_number_to_row_on_seat.py"


def installation(url: str) -> Installation:
    return Installation.of(load_settings(None, database={"url": url}))


async def migrated(url: str) -> None:
    """Apply all migrations."""
    installed = installation(url)
    async with installed.connected() as database:
        await migrate(database, installed.contributions)


async def query(url: str, statement: str) -> list[dict[str, object]]:
    """The rows that the statement answers."""
    async with installation(url).connected() as database:
        rows: list[dict[str, object]] = await database.client.execute_query_dict(statement)
        return rows


def test_a_plugin_that_is_not_there_is_refused_with_those_that_are(site: Site) -> None:
    site.install("alpha")
    known = ", ".join(plugin.slug for plugin in discover())
    assert refusal("gamma") == f"The plugin 'gamma' is not installed. Installed plugins: {known}."
    assert "alpha, applications" in known


def test_a_plugin_without_models_is_refused() -> None:
    assert refusal("email-notifications") == (
        "The plugin 'email-notifications' has no models. Implement the hook register_models."
    )


def test_two_plugins_of_one_slug_are_refused(site: Site) -> None:
    site.install("alpha", HEAD + SEAT, name="acme-alpha")
    site.install("alpha", HEAD + SEAT, name="rival-alpha")
    assert refusal("alpha") == "slug 'alpha' is brought by both 'acme-alpha' and 'rival-alpha'"


def test_a_reference_into_a_plugin_that_is_not_required_is_refused(site: Site) -> None:
    package(site, "alpha", SEAT + '    row = fields.ForeignKeyField("applications.Application", related_name=False)\n')
    assert refusal("alpha") == (
        "plugin 'alpha': Seat.row references applications.Application, but the plugin does not require its distribution"
    )


def test_a_reference_to_a_table_that_no_migration_makes_is_refused(site: Site) -> None:
    package(site, "alpha", SEAT)
    package(
        site,
        "beta",
        SEAT + '    seat = fields.ForeignKeyField("alpha.Seat", related_name=False, null=True)\n',
        requires=("site-alpha",),
    )
    assert refusal("beta") == "plugin 'beta': no migration creates the table of alpha.Seat: write that migration first"


def test_migrations_that_are_no_package_are_refused(site: Site) -> None:
    site.install("alpha", HEAD + SEAT)
    assert refusal("alpha") == (
        "plugin 'alpha': the migrations 'site_alpha.migrations' must be a package, or a new one in an existing package"
    )


def test_what_a_migration_cannot_hold_is_told_with_the_plugin(site: Site) -> None:
    package(site, "alpha", SEAT + "    number = fields.IntField(default=lambda: 1)\n")
    assert refusal("alpha").startswith(
        "plugin 'alpha' (site-alpha 1.0): makemigrations: ValueError: Cannot serialize lambda; use a module-level "
        "function instead."
    )


def test_a_package_that_cannot_be_written_to_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    code = package(site, "alpha", SEAT)
    archive = site.folder / "alpha.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(code, "site_alpha/__init__.py")
    shutil.rmtree(code.parent)
    monkeypatch.syspath_prepend(archive)
    migration = new_migration("alpha")
    assert migration is not None
    with pytest.raises(StartError) as failure:
        migration.write()
    path = archive / "site_alpha/migrations/0001_initial.py"
    assert str(failure.value) == f"{path} cannot be written: Not a directory"
    del sys.modules["site_alpha"]


def test_a_migration_of_a_copy_is_refused_because_it_would_be_lost() -> None:
    packages = sysconfig.get_path("purelib")
    path = Path(packages, "site_alpha", "migrations", "0001_initial.py")
    with pytest.raises(StartError) as failure:
        NewMigration(path, "", ()).write()
    assert str(failure.value) == (
        f"The next installation would delete {path}, because {packages} contains a copy of the plugin's code. "
        "Install the plugin from its sources, with `pip install -e`."
    )
    assert not path.parent.exists()


def test_a_migration_that_there_is_stays_as_it_is(site: Site) -> None:
    code = package(site, "alpha", SEAT)
    migration = new_migration("alpha")
    assert migration is not None
    migration.write()
    written = migration.path.read_text()
    with pytest.raises(StartError) as failure:
        migration.write()
    assert str(failure.value) == f"{migration.path} cannot be written: File exists"
    assert migration.path == code.with_name("migrations") / "0001_initial.py"
    assert migration.path.read_text() == written


def test_the_command_tells_what_is_wrong_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[plugins]\nstart_timeout = 0\n")
    message = "Error: plugins.start_timeout: Input should be greater than 0\n"
    assert refused(tmp_path, "makemigrations", "applications", "--config", "a.toml") == message
