"""A new plugin: complete, in order, and its own tests pass."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import printed, refused
from distributions import install
from packaging.specifiers import SpecifierSet
from processes import passes_its_tests, succeeds

from jobbergate_devkit.new_plugin import FILES, Names, compatible, create
from jobbergate_server import __version__
from jobbergate_server.errors import StartError

BIN = Path(sys.executable).parent
MUST = (
    "must begin with a letter and consist of lower-case letters and digits, in parts joined by single hyphens or "
    "underscores"
)


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_it_is_written_and_the_next_commands_are_told(tmp_path: Path) -> None:
    assert printed(tmp_path, "new-plugin", "acme-licences") == (
        "Created acme-licences. Next steps:\n"
        "\n"
        "    pip install -e './acme-licences[testing]'\n"
        "    jobbergate-server migrate\n"
        "\n"
        "After a restart, the server serves http://127.0.0.1:8000/jobbergate/licences\n"
    )
    assert sorted(contents(tmp_path)) == [
        "acme-licences/.gitignore",
        "acme-licences/README.md",
        "acme-licences/pyproject.toml",
        "acme-licences/src/acme_licences/__init__.py",
        "acme-licences/src/acme_licences/migrations/0001_initial.py",
        "acme-licences/src/acme_licences/migrations/__init__.py",
        "acme-licences/src/acme_licences/py.typed",
        "acme-licences/tests/test_licences.py",
    ]


def test_its_tests_pass_on_both_databases(tmp_path: Path, postgres_url: str) -> None:
    create("acme-gpu-queues", tmp_path)
    path = install(tmp_path / "acme-gpu-queues", tmp_path / "site")
    variables = {"PYTHONPATH": path, "JOBBERGATE_TEST_POSTGRES_URL": postgres_url}
    assert "passed" in passes_its_tests(tmp_path, "acme-gpu-queues", **variables)


def test_its_code_is_formatted_linted_and_typed(tmp_path: Path) -> None:
    for name in ("acme-licences", "acme-gpu-queues", "status"):
        create(name, tmp_path)
        folder = tmp_path / name
        succeeds(folder, BIN / "ruff", "format", "--no-cache", "--check", ".")
        succeeds(folder, BIN / "ruff", "check", "--no-cache", ".")
    succeeds(folder, BIN / "mypy", "--cache-dir", tmp_path / "mypy", "src", "tests")


@pytest.mark.parametrize(
    ("name", "package", "slug"),
    [("acme-gpu-queues", "acme_gpu_queues", "gpu-queues"), ("policies", "policies", "policies")],
)
def test_its_first_migration_is_the_one_that_makemigrations_writes(
    name: str, package: str, slug: str, tmp_path: Path
) -> None:
    create(name, tmp_path)
    before = contents(tmp_path / name)
    migrations = tmp_path / name / "src" / package / "migrations"
    for file in migrations.iterdir():
        file.unlink()
    migrations.rmdir()
    path = install(tmp_path / name, tmp_path / "site")
    printed(tmp_path, "makemigrations", slug, PYTHONPATH=path)
    assert contents(tmp_path / name) == before


@pytest.mark.parametrize(
    ("name", "slug", "label", "model", "singular"),
    [
        ("acme-licences", "licences", "licences", "Licence", "licence"),
        ("acme-gpu-queues", "gpu-queues", "gpu_queues", "GpuQueue", "gpu_queue"),
        ("acme-policies", "policies", "policies", "Policy", "policy"),
        ("acme-status", "status", "status", "Status", "status"),
        ("software", "software", "software", "Software", "software"),
    ],
)
def test_its_names_follow_from_the_slug(name: str, slug: str, label: str, model: str, singular: str) -> None:
    names = Names.of(name)
    assert (names.slug, names.label, names.model, names.singular) == (slug, label, model, singular)
    assert names.package == name.replace("-", "_")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Acme", f"the name 'Acme' {MUST}"),
        ("acme--licences", f"the name 'acme--licences' {MUST}"),
        ("../acme", f"the name '../acme' {MUST}"),
        ("acme-2fa", f"the slug '2fa' {MUST}"),
        ("class", "its package would have the name 'class', which is a keyword of Python"),
        ("acme-nones", "its model would have the name 'None', which is a keyword of Python"),
        ("acme-routes", "its model would have the name 'Route', which its code imports"),
        ("json", "the package 'json' already exists"),
        ("jobbergate-applications", "the package 'jobbergate_applications' already exists"),
    ],
)
def test_a_name_that_no_plugin_can_have_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(StartError) as failure:
        create(name, tmp_path)
    assert str(failure.value) == f"{name!r} is not a valid name for a plugin: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_there_is_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "acme-licences").mkdir()
    assert refused(tmp_path, "new-plugin", "acme-licences") == "Error: acme-licences already exists\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "acme-licences"]


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    folder = tmp_path / "file" / "acme-licences"
    with pytest.raises(StartError) as failure:
        create("acme-licences", tmp_path / "file")
    assert str(failure.value) == f"{folder} cannot be written: Not a directory"


@pytest.mark.parametrize(
    ("version", "versions"),
    [("0.1.4", ">=0.1,<0.2"), ("2.3.0", ">=2.3,<3"), ("1.0.0rc1", ">=1.0.0rc1,<2")],
)
def test_it_works_with_the_versions_that_are_compatible_with_this_one(version: str, versions: str) -> None:
    assert compatible(version) == versions
    assert SpecifierSet(versions).contains(version, prereleases=True)


def test_every_template_is_used() -> None:
    folder = Path(sys.modules["jobbergate_devkit"].__file__ or "").parent / "templates"
    assert sorted(file.stem for file in folder.iterdir()) == sorted(name for name in FILES.values() if name)
    assert Names.of("acme-licences").versions == compatible(__version__)
