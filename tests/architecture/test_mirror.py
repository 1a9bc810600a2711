"""The tests of the core stand where its modules stand, and have their names."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/src/jobbergate_server"
TESTS = ROOT / "tests/core"

ELSEWHERE = {
    "auth/middleware": "tests/security/test_tokens.py",
    "auth/permissions": "tests/security/test_tokens.py",
    "cli/check": "tests/core/cli/test_commands.py",
    "cli/main": "tests/core/cli/test_groups.py",
    "cli/options": "tests/core/cli/test_commands.py",
    "database/file_field": "tests/core/test_files.py",
    "database/health": "tests/core/service/test_health.py",
    "database/models": "tests/core/tables/test_migrations.py",
    "database/postgresql": "tests/reliability/test_away.py",
    "database/prepared": "tests/core/lists/test_sql.py",
    "database/rows": "plugins/applications/tests/test_applications_rows.py",
    "database/sqlite": "tests/reliability/test_away.py",
    "database/transaction": "tests/core/database/test_connection.py",
    "database/write_counter": "tests/core/lists/test_totals.py",
    "errors": "tests/core/routing/test_endpoint.py",
    "events": "tests/core/plugins/test_dispatcher.py",
    "http/blocking": "tests/core/test_app.py",
    "http/bodies": "tests/security/test_uploads.py",
    "http/errors": "tests/core/routing/test_endpoint.py",
    "http/keys": "tests/core/test_app.py",
    "http/owners": "plugins/webhooks/tests/test_webhooks_rows.py",
    "http/response_headers": "tests/security/test_headers.py",
    "installation": "tests/core/plugins/test_registry.py",
    "plugins/context": "tests/core/plugins/test_contributions.py",
    "plugins/contribution": "tests/core/plugins/test_contributions.py",
    "plugins/deadline": "tests/core/plugins/test_registry_failures.py",
    "plugins/entry_points": "tests/core/cli/test_groups.py",
    "plugins/plugin": "tests/core/plugins/test_registry.py",
    "plugins/table_names": "tests/core/tables/test_removal.py",
    "routing/route": "tests/core/plugins/test_contributions.py",
    "serving/connections": "tests/security/test_connections.py",
    "serving/inflight": "tests/reliability/test_stop.py",
    "settings_sources": "tests/core/test_settings.py",
    "storable": "tests/security/test_fields.py",
    "tables/owners": "tests/core/tables/test_removal.py",
}
"""The modules that are tested by what they are for, rather than alone, and where."""

CORE_LINES = 8_150
"""The most lines of the core. Lower the number after each cut; raise it for no feature that a plugin can have."""

MODULES = {
    str(path.relative_to(CORE).with_suffix(""))
    for path in CORE.rglob("*.py")
    if path.stem != "__init__" and path.parent.name != "migrations"
}
TESTED = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}


def module_of(path: Path) -> str:
    """Return the module that a file of tests is named after: `http/test_requests_body.py` is of `http/requests`."""
    words = path.stem.removeprefix("test_").split("_")
    names = ("_".join(words[:end]) for end in range(len(words), 0, -1))
    return next((name for name in (str(path.parent / it) for it in names) if name in MODULES), str(path))


def test_each_file_of_tests_is_named_after_a_module() -> None:
    assert [str(path) for path in sorted(TESTED) if module_of(path) not in MODULES] == []


def test_each_module_is_tested_under_its_name_or_where_the_list_says() -> None:
    mirrored = {module_of(path) for path in TESTED}
    assert MODULES - mirrored - ELSEWHERE.keys() == set()
    assert ELSEWHERE.keys() - MODULES == set()
    assert ELSEWHERE.keys() & mirrored == set()
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).is_file()] == []


def test_no_module_has_more_than_400_lines() -> None:
    folders = ("core/src", "devkit/src", "plugins", "tests", "drills", "benchmarks", "examples")
    long = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text().splitlines()) > 400
    ]
    assert long == []


def test_the_core_stays_within_its_bounds() -> None:
    lines = [line for path in CORE.rglob("*.py") for line in path.read_text().splitlines()]
    assert len(lines) <= CORE_LINES
