"""Plugins for tests: distributions that are really installed, and the notebook of tests/fixtures."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.service import plugin
from jobbergate_server.settings_sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parents[1] / "fixtures"


class Site:
    """A folder on Python's path, to which a test adds distributions with plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        slug: str,
        source: str = "",
        *,
        name: str | None = None,
        version: str = "1.0",
        requires: tuple[str, ...] = (),
    ) -> str:
        """Add the distribution ``name``, `site-<slug>` unless it is told, and return the name of its module."""
        name = name or f"site-{slug}"
        module = name.replace("-", "_")
        (self.folder / f"{module}.py").write_text(f'"""The plugin {slug}."""\n' + dedent(source))
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in ("jobbergate-server", *requires)]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[jobbergate.plugins]\n{slug} = {module}\n")
        return module

    def file(self, module: str) -> Path:
        """The file of the module, as the messages name it."""
        return self.folder / f"{module}.py"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without settings of whoever runs the tests; a test sets its own."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Plugin]:
    """The plugins of a server that has the notebook of tests/fixtures, and the core's own pages."""
    monkeypatch.syspath_prepend(FIXTURES)
    return [
        Plugin("service", plugin, "jobbergate-server", "1.0"),
        Plugin("notebook", "notebook", "notebook", "1.0"),
    ]
