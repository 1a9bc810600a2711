"""A plugin from nothing, as its author works: in an environment of its own, with the server installed from wheels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import environment
from readme import EXAMPLES, ROOT

from jobbergate_devkit.new_plugin import create

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BIN = Path(sys.executable).parent
UV = shutil.which("uv", path=f"{BIN}{os.pathsep}{os.environ['PATH']}") or "uv"
NOTHING: Mapping[str, str] = {}
PATIENCE = 300
"""Seconds for each command: the first time, everything is fetched from the registry."""


class Workshop:
    """A directory, and an environment with the server and its plugins as they are released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._bin = folder / "venv" / "bin"
        wheels, versions = folder / "wheels", folder / "versions.txt"
        # With the locked build tools of this environment, of which each wheel would otherwise get a copy.
        tools = ("--no-build-isolation", "--python", sys.executable)
        self._run(UV, "build", "--quiet", *tools, "--all-packages", "--wheel", "--out-dir", wheels, cwd=ROOT)
        locked = ("--frozen", "--all-packages", "--no-emit-workspace", "--no-hashes")
        self._run(UV, "export", "--quiet", *locked, "--output-file", versions, cwd=ROOT)
        self._run(UV, "venv", "--quiet", "--seed", "--python", sys.executable, self._bin.parent)
        (core,) = wheels.glob("jobbergate_server-*")
        self.install("--constraints", versions, f"jobbergate-server[testing] @ {core.as_uri()}", *wheels.glob("*.whl"))

    def install(self, *what: str | Path) -> None:
        """Install distributions from wheels or from their sources."""
        self._run(UV, "pip", "install", "--quiet", "--python", self._bin / "python", *what)

    def uninstall(self, *distributions: str) -> None:
        """Leave the environment without the distributions."""
        self._run(UV, "pip", "uninstall", "--quiet", "--python", self._bin / "python", *distributions)

    def shell(self, script: str, **variables: str) -> str:
        """What the commands print, typed in the directory with the environment activated."""
        return self._run("bash", "-euc", script, variables=variables)

    def refused(self, *arguments: str) -> str:
        """What `jobbergate-server` says when it refuses."""
        done = self._start(self._bin / "jobbergate-server", *arguments)
        assert done.returncode == 1, done.stdout
        return done.stderr

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of a development server in the directory, as long as it serves."""
        with (self.folder / "log").open("w") as log:
            command = (self._bin / "jobbergate-server", "dev", "--port", "0")
            process = subprocess.Popen(  # noqa: S603 - the command under test
                command, cwd=self.folder, env=self._environment(), stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Jobbergate Server serves http://"), (self.folder / "log").read_text()
            yield line.split("/")[2]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)

    def tables(self) -> set[str]:
        """The tables in the database."""
        with closing(sqlite3.connect(self.folder / "var/jobbergate.db")) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _run(self, *command: str | Path, cwd: Path | None = None, variables: Mapping[str, str] = NOTHING) -> str:
        done = self._start(*command, cwd=cwd, variables=variables)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start(
        self, *command: str | Path, cwd: Path | None = None, variables: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - uv, and what is installed with it
            command,
            cwd=cwd or self.folder,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _environment(self, variables: Mapping[str, str] = NOTHING) -> dict[str, str]:
        inherited = environment(PATH=f"{self._bin}{os.pathsep}{os.environ['PATH']}", **variables)
        # The tests' own environment must be none of it.
        return {name: value for name, value in inherited.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_plugin_is_made_served_changed_and_removed(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    code = workshop.folder / "acme-licences/src/acme_licences/__init__.py"
    curl = EXAMPLES["new plugin's curl"]

    workshop.shell(EXAMPLES["new plugin"])
    with workshop.serving() as address:
        answer = workshop.shell(curl.replace("127.0.0.1:8000", address))
    assert json.loads(answer) == json.loads(EXAMPLES["new plugin's answer"])

    column = "    description = columns.TextField(null=True)\n"
    code.write_text(code.read_text().replace(column, f"{column}    seats = columns.IntField(db_default=1)\n"))
    migrated = workshop.shell(EXAMPLES["plugin's migration"])
    added = "0002_add_field_seats_to_licence"
    assert migrated == f"{code.with_name('migrations')}/{added}.py\n  Add field seats to Licence\nlicences.{added}\n"

    create("rival-licences", workshop.folder)
    workshop.install("./rival-licences")
    both = "Error: slug 'licences' is brought by both 'acme-licences' and 'rival-licences'\n"
    assert workshop.refused("serve", "--port", "0").endswith(both)

    workshop.uninstall("acme-licences", "rival-licences")
    assert {"licences", "applications"} <= workshop.tables()
    workshop.shell("jobbergate-server plugins remove licences --yes")
    assert "licences" not in workshop.tables()
