"""A development server in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from commands import printed

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = Path(sys.executable).with_name("jobbergate-server")
FOREIGN = ("JOBBERGATE_", "OIDC_", "ARMADA_", "DEFAULT_CLUSTER_NAME", "COLUMNS")
"""How variables begin that would reach a server or client under test from whoever runs the tests."""


class DevServer:
    """`jobbergate-server dev` in a directory of its own; started again, it is what it was, at the same address."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """The URL of its issuer, without the scheme."""
        return f"{self.address}/oidc"

    @staticmethod
    def environment(**variables: str) -> dict[str, str]:
        """The variables for a subprocess that talks to it: no settings of others, and no proxy on the way."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return inherited | {"NO_PROXY": "*", "no_proxy": "*"} | variables

    def start(self) -> None:
        """Start it, and come back when it serves."""
        with (self.directory / "stderr.txt").open("a") as stderr:
            self.process = subprocess.Popen(  # noqa: S603 - the command of this repository
                [COMMAND, "dev", "--port", str(self.port)],
                cwd=self.directory,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Jobbergate Server serves http://"), (self.directory / "stderr.txt").read_text()
        self.port = int(line.split("/")[2].rpartition(":")[2])

    def stop(self) -> None:
        """Stop it; it must end well."""
        self.process.send_signal(signal.SIGINT)  # SIGTERM gives who shares out requests time, which no test needs here
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0, (self.directory / "stderr.txt").read_text()

    def printed(self, *arguments: str) -> str:
        """What the command prints in the server's directory."""
        return printed(self.directory, *arguments)

    def client_of(self, email: str) -> httpx.Client:
        """A client with all permissions of somebody, for the paths below the mount."""
        headers = {"Authorization": f"Bearer {self.printed('token', '--email', email).strip()}"}
        return httpx.Client(base_url=f"http://{self.address}/jobbergate", headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A development server for the tests of a module."""
    server = DevServer(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()
