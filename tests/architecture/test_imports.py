"""Who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

import jobbergate_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CORE = "jobbergate_server"
FOREIGN = frozenset({"jobbergate_api", "jobbergate_core", "jobbergate_cli", "jobbergate_agent"})
"""Import names of other projects, which may be installed beside this one."""
DISTRIBUTIONS = sorted(path.parent for path in [ROOT / "core/pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")])


def import_name(distribution: str) -> str:
    return distribution.replace("-", "_")


def project(distribution: Path) -> dict[str, object]:
    described: dict[str, object] = tomllib.loads((distribution / "pyproject.toml").read_text())["project"]
    return described


def required(distribution: Path) -> set[str]:
    """The import names of what the distribution requires, as far as it is of this repository."""
    dependencies = project(distribution)["dependencies"]
    assert isinstance(dependencies, list)
    return {import_name(Requirement(text).name) for text in dependencies}


def modules(distribution: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(distribution.glob("src/**/*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name of each import; names of modules that a program imports by itself count too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield node.lineno, str(name.value), None


PLUGINS = frozenset(import_name(str(project(path)["name"])) for path in DISTRIBUTIONS) - {CORE}


def test_the_source_is_where_this_test_looks_for_it() -> None:
    assert len(DISTRIBUTIONS) >= 4
    assert {"jobbergate_applications", "jobbergate_job_scripts", "jobbergate_job_submissions"} <= PLUGINS
    assert all(len(list(modules(distribution))) > 3 for distribution in DISTRIBUTIONS)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_nobody_imports_what_belongs_to_other_projects(distribution: Path) -> None:
    found = [
        f"{path}:{line}: {module}"
        for path, tree in modules(distribution)
        for line, module, _ in imported(tree)
        if module.partition(".")[0] in FOREIGN
    ]
    assert found == []


def test_the_core_imports_no_plugin() -> None:
    found = [
        f"{path}:{line}: {module}"
        for path, tree in modules(ROOT / "core")
        for line, module, _ in imported(tree)
        if module.partition(".")[0] in PLUGINS
    ]
    assert found == []


def floor(path: Path) -> str:
    """The package, or the module, of the core that a file belongs to."""
    return path.relative_to("core/src/jobbergate_server").parts[0].removesuffix(".py")


def found(*names: str, but: set[str]) -> list[str]:
    """The imports of the modules ``names`` in the core, except in the packages ``but``."""
    return [
        f"{path}:{line}: {module}"
        for path, tree in modules(ROOT / "core")
        for line, module, name in imported(tree)
        if floor(path) not in but
        and any(full == it or full.startswith(f"{it}.") for it in names for full in (module, f"{module}.{name}"))
    ]


def test_the_lower_floors_know_no_http_server() -> None:
    upper = {"app", "cli", "http", "installation", "lists", "openapi", "plugins", "routing", "service", "serving"}
    in_lower = found("aiohttp.web", "aiohttp_apispec", "marshmallow", but=upper)
    assert [it for it in in_lower if "/auth/middleware.py:" not in it] == []


def test_only_the_database_packages_know_drivers_and_what_tortoise_hides() -> None:
    hidden = ("asyncpg", "aiosqlite", "tortoise.backends", "tortoise.connection", "tortoise.context")
    assert found(*hidden, but={"database", "tables"}) == []


def test_no_module_imports_inside_a_function() -> None:
    inside = [
        f"{path}:{node.lineno}"
        for distribution in DISTRIBUTIONS
        for path, tree in modules(distribution)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_a_plugin_imports_the_api_of_plugins_that_it_requires(distribution: Path) -> None:
    own = import_name(str(project(distribution)["name"]))
    allowed = {f"{name}.api" for name in required(distribution) & PLUGINS}
    wrong = [
        f"{path}:{line}: {module}"
        for path, tree in modules(distribution)
        for line, module, _ in imported(tree)
        if module.partition(".")[0] in PLUGINS - {own} and module not in allowed
    ]
    assert wrong == []


def test_plugins_depend_downwards_only() -> None:
    requirements = {import_name(str(project(path)["name"])): required(path) & PLUGINS for path in DISTRIBUTIONS}
    order = [label for label in TopologicalSorter(requirements).static_order() if label in requirements]
    bundled = ["jobbergate_applications", "jobbergate_job_scripts", "jobbergate_job_submissions"]
    assert [label for label in order if label in bundled] == bundled
    assert requirements["jobbergate_applications"] == set()


def test_every_public_name_can_be_imported() -> None:
    tree = ast.parse((ROOT / "core/src/jobbergate_server/__init__.pyi").read_text())
    listed = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(jobbergate_server.__all__) == listed | {"__version__"}
    assert [name for name in jobbergate_server.__all__ if not hasattr(jobbergate_server, name)] == []


def test_the_public_names_are_loaded_when_they_are_used() -> None:
    program = "import sys, jobbergate_server.cli.main; print([it for it in sys.modules if it.startswith('aiohttp')])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - this interpreter
    assert loaded.stdout == "[]\n"
