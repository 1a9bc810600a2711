"""Environments as operators and authors have them: the server and its plugins, installed from wheels."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from processes import environment
from readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
NOTHING: Mapping[str, str] = {}
PATIENCE = 300
"""Seconds for each command: the first time, uv downloads everything from the registry."""


class Workshop:
    """A directory, and an environment with the server and its plugins from wheels, with or without the devkit."""

    def __init__(self, folder: Path, *, devkit: bool) -> None:
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
        built = [wheel for wheel in wheels.glob("*.whl") if devkit or not wheel.name.startswith("jobbergate_devkit-")]
        self.install("--constraints", versions, *built)

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (folder,) = self._bin.parent.glob("lib/python*/site-packages")
        return folder

    def install(self, *what: str | Path) -> None:
        """Install distributions from wheels or from their sources."""
        self._run(UV, "pip", "install", "--quiet", "--python", self._bin / "python", *what)

    def uninstall(self, *distributions: str) -> None:
        """Leave the environment without the distributions."""
        self._run(UV, "pip", "uninstall", "--quiet", "--python", self._bin / "python", *distributions)

    def shell(self, script: str, **variables: str) -> str:
        """What the commands print, typed in the directory with the environment activated."""
        return self._run("bash", "-euc", script, variables=variables)

    def fails(self, command: str, *arguments: str) -> str:
        """Return the standard error of a command of the environment, which must fail."""
        done = self._start(self._bin / command, *arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    @contextmanager
    def developing(self) -> Iterator[str]:
        """The address of a development server in the directory, while it serves."""
        with self.running("dev", "--port", "0") as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Jobbergate Server serves http://"), self.log
            yield line.split("/")[2]

    @contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """`jobbergate-server` with these arguments, until the end of the block."""
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(  # noqa: S603 - the command under test
                (self._bin / "jobbergate-server", *arguments),
                cwd=self.folder,
                env=self._environment(variables),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)

    @property
    def log(self) -> str:
        """The standard error of the last server."""
        return (self.folder / "log").read_text()

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
