"""The tutorial does what it says: every block of it is run here, in its order."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from distributions import install
from pages import DOCS, ROOT, blocks
from processes import LEAN, developing, environment, origin

from jobbergate_devkit.new_plugin import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = DOCS / "tutorial.md"
BIN = Path(sys.executable).parent
PLACEHOLDER = "http://127.0.0.1:8000"
EXAMPLE = ROOT / "examples/plugins/licences/src/acme_licences"
NAMES = (
    "activate",
    "new",
    "new's answer",
    "install",
    "imports",
    "model",
    "schema",
    "handlers",
    "hooks",
    "first migration",
    "first migration's answer",
    "migrate",
    "dev",
    "token",
    "add",
    "add's answer",
    "refused",
    "refused's answer",
    "tests",
    "pytest",
    "column",
    "second migration",
    "second migration's answer",
    "migrate again",
    "migrate again's answer",
    "uninstall",
    "look",
    "look's answer",
    "remove",
)
# In the order of the page, so that a block without a test has no name, and stops the tests of them.
BLOCKS = {name: block.text for name, block in zip(NAMES, blocks(PAGE), strict=True)}
CODE = "\n\n\n".join(BLOCKS[name].strip() for name in ("imports", "model", "schema", "handlers", "hooks")) + "\n"


def test_the_code_is_that_of_the_example() -> None:
    assert (EXAMPLE / "__init__.py").read_text() == CODE


def test_the_table_names_files_of_a_new_plugin() -> None:
    named = re.findall(r"^\| `([\w./]+)` \|", PAGE.read_text(), re.MULTILINE)
    made = [path.replace("$package", "acme_licences").replace("$label", "licences") for path in FILES]
    assert named
    assert all(any(path.startswith(name) for path in made) for name in named)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_step_does_what_the_page_says(tmp_path: Path) -> None:
    folder, plugin = tmp_path / "work", tmp_path / "work/acme-licences"
    folder.mkdir()
    code, migrations = plugin / "src/acme_licences/__init__.py", plugin / "src/acme_licences/migrations"
    variables = {"PATH": f"{BIN}:{environment()['PATH']}"}

    def shell(name: str, change: Callable[[str], str] = str) -> str:
        done = subprocess.run(  # noqa: S603 - the commands of the page
            ["bash", "-euc", change(BLOCKS[name])],  # noqa: S607 - the one of this machine
            cwd=folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
        return done.stdout.replace(f"{folder}/", "")

    assert BLOCKS["activate"] == ". .venv/bin/activate\n"
    assert shell("new") == BLOCKS["new's answer"]
    assert BLOCKS["install"].strip() in BLOCKS["new's answer"]
    # What pip would do, without a network.
    variables["PYTHONPATH"] = install(plugin, tmp_path / "site")

    code.write_text(CODE)
    assert shell("first migration") == BLOCKS["first migration's answer"]
    assert (migrations / "0001_initial.py").read_text() == (EXAMPLE / "migrations/0001_initial.py").read_text()
    assert "licences.0001_initial" in shell("migrate").splitlines()

    assert BLOCKS["dev"] == "jobbergate-server dev\n"
    with developing(folder, PYTHONPATH=variables["PYTHONPATH"]) as server:
        variables["TOKEN"] = shell("token", lambda text: f'{text}printf %s "$TOKEN"')
        for name in ("add", "refused"):
            answer = shell(name, lambda text: text.replace(PLACEHOLDER, origin(server)))
            assert json.loads(answer) == json.loads(BLOCKS[f"{name}'s answer"])

    (plugin / "tests/test_licences.py").write_text(BLOCKS["tests"])
    # The conformance is that of the example, whose own tests run it whole.
    options = f" -q {' '.join(LEAN)} --basetemp={tmp_path}/pytest -k 'sqlite and (viewer or page or token)'"
    assert " passed" in shell("pytest", lambda text: text.strip() + options).splitlines()[-1]

    seats = "    seats = columns.IntField(db_index=True)\n"
    code.write_text(code.read_text().replace(seats, seats + BLOCKS["column"]))
    assert shell("second migration") == BLOCKS["second migration's answer"]
    assert shell("migrate again") == BLOCKS["migrate again's answer"]

    assert BLOCKS["uninstall"] == "pip uninstall --yes acme-licences\n"
    del variables["PYTHONPATH"]
    assert shell("look") == BLOCKS["look's answer"]
    assert "The tables were removed." in shell("remove")
