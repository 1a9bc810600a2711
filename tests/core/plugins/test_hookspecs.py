"""Every hook that is offered is explained, used and tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobbergate_server.plugins import hookspecs
from jobbergate_server.plugins.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
HERE = Path(__file__)


def implemented(file: Path) -> Iterator[str]:
    """The names of the functions in ``file`` that are marked as hooks."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            isinstance(decorator, ast.Name) and decorator.id == "hookimpl" for decorator in node.decorator_list
        ):
            yield node.name


IMPLEMENTED = {
    name
    for folder in (ROOT / "core/src", *(ROOT / "plugins").glob("*/src"))
    for file in folder.rglob("*.py")
    if "templates" not in file.parts
    for name in implemented(file)
}
TESTED = {
    word
    for file in (ROOT / "tests").rglob("test_*.py")
    if file != HERE
    for word in re.findall(r"\w+", file.read_text())
}


def test_the_hooks_are_those_that_are_specified() -> None:
    assert set(HOOKS) >= {"register_routes", "lifespan", "before_commit", "on_event", "check_health"}
    assert set(HOOKS) == {name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "jobbergate_spec")}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_docstring(hook: str) -> None:
    assert re.match(r"[A-Z].*\S", getattr(hookspecs, hook).__doc__ or "")


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "before_commit"])  # a veto is for sites
def test_every_hook_is_used_by_the_core_or_a_bundled_plugin(hook: str) -> None:
    assert hook in IMPLEMENTED


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook: str) -> None:
    assert hook in TESTED
