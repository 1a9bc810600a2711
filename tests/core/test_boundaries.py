"""Who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
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


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[1:], ids=lambda path: path.name)
def test_a_plugin_imports_the_public_names_of_the_core_and_the_plugins_that_it_requires(distribution: Path) -> None:
    own = import_name(str(project(distribution)["name"]))
    allowed = {own, CORE} | (required(distribution) & PLUGINS)
    found = []
    for path, tree in modules(distribution):
        for line, module, name in imported(tree):
            package = module.partition(".")[0]
            if package in PLUGINS - allowed:
                found.append(f"{path}:{line}: {module} is not required by {distribution.name}")
            elif package == CORE and (module != CORE or name is None or name not in jobbergate_server.__all__):
                found.append(f"{path}:{line}: {module} {name} is not for plugins")
    assert CORE in required(distribution)
    assert found == []


def test_plugins_depend_downwards_only() -> None:
    requirements = {import_name(str(project(path)["name"])): required(path) & PLUGINS for path in DISTRIBUTIONS}
    order = [label for label in TopologicalSorter(requirements).static_order() if label in requirements]
    bundled = ["jobbergate_applications", "jobbergate_job_scripts", "jobbergate_job_submissions"]
    assert [label for label in order if label in bundled] == bundled
    assert requirements["jobbergate_applications"] == set()


def test_the_public_surface_is_complete() -> None:
    tree = ast.parse((ROOT / "core/src/jobbergate_server/__init__.py").read_text())
    brought = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == CORE
        for alias in node.names
    }
    assert set(jobbergate_server.__all__) == brought | {"__version__"}
    assert [name for name in jobbergate_server.__all__ if not hasattr(jobbergate_server, name)] == []


def test_the_public_surface_is_sorted() -> None:
    listed = list(jobbergate_server.__all__)
    assert listed == sorted(set(listed), key=rank)


def rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then everything else: the order of isort and of ruff's RUF022."""
    if name.isupper():
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)
