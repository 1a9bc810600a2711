"""Everything that a distribution requires has its reason on a page, and everything there is required."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import DOCS, ROOT

PAGE = DOCS / "decisions/dependencies.md"
CORE = "jobbergate-server"
FILES = [ROOT / "core/pyproject.toml", ROOT / "devkit/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
PROJECTS = {project["name"]: project for project in (tomllib.loads(file.read_text())["project"] for file in FILES)}
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def test_make_lint_checks_the_imports_of_every_distribution() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (folders,) = re.findall(r"^\t@for folder in (.*?); do .*/deptry src\)", makefile, re.MULTILINE)
    assert {path for folder in folders.split() for path in ROOT.glob(f"{folder}/pyproject.toml")} == set(FILES)


def test_the_page_has_a_section_for_each_distribution() -> None:
    assert list(SECTIONS) == list(PROJECTS)


@pytest.mark.parametrize("name", PROJECTS)
def test_every_requirement_has_a_reason_and_every_reason_a_requirement(name: str) -> None:
    project = PROJECTS[name]
    extras = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(text for extra in extras for text in extra)]
    required = {canonicalize_name(Requirement(text).name) for text in requirements} - {CORE}
    reasons = re.findall(r"^\| `([\w-]+)` \| \S.*\. \|$", SECTIONS[name], re.MULTILINE)
    assert len(reasons) == len(set(reasons))
    assert {canonicalize_name(reason) for reason in reasons} == required
    assert SECTIONS[name].count("\n| ") == len(reasons) + SECTIONS[name].count("| Requires | Because |")
