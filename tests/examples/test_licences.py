"""The example of a plugin does what it is an example of."""

from __future__ import annotations

from pathlib import Path

from commands import printed
from distributions import install
from processes import passes_its_tests

EXAMPLE = Path(__file__).parents[2] / "examples/plugins/licences"


def test_its_own_tests_pass_on_both_databases(tmp_path: Path, postgres_url: str) -> None:
    variables = {"PYTHONPATH": install(EXAMPLE, tmp_path / "site"), "JOBBERGATE_TEST_POSTGRES_URL": postgres_url}
    summary = passes_its_tests(tmp_path, EXAMPLE, **variables)
    assert "passed" in summary
    assert "skipped" not in summary


def test_its_migrations_are_complete(tmp_path: Path) -> None:
    assert printed(tmp_path, "makemigrations", "licences", PYTHONPATH=install(EXAMPLE, tmp_path)) == "No changes.\n"
