"""The measured servers: this server with its settings, and its peers."""

import socket
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Server, running

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("jobbergate-server"))
READY = "/jobbergate/ready"
EXACT = {"JOBBERGATE_LIMITS__TOTAL_MAX_AGE": "0"}
TWO_WORKERS = {"JOBBERGATE_SERVER__WORKERS": "2"}
OURS: Mapping[str, Mapping[str, str]] = {
    "ours": {},
    "exact": EXACT,
    "two": TWO_WORKERS,
    "licences": {},
    "sqlite": {},
}
"""The additional settings of this server, by kind."""
PEERS = {"limit": "limit", "fastapi": "fastapi_app", "constant": "constant"}


@dataclass(frozen=True, slots=True)
class Place:
    """The shared resources of all servers of a run."""

    folder: Path
    issuer: str
    files: str
    postgresql: Mapping[int, str]
    sqlite: Mapping[int, str]
    example_path: str
    """The `PYTHONPATH` with the example plugin."""

    def start(self, kind: str, rows: int, *, size: int = 0) -> AbstractContextManager[Server]:
        """Start a server of a kind in ``OURS`` or ``PEERS``, on the database with so many rows.

        The response of ``constant`` has ``size`` bytes.
        """
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        log = self.folder / f"{kind.replace(' ', '-')}-{rows}.log"
        if kind in PEERS:
            command = [sys.executable, "-m", f"benchmarks.peers.{PEERS[kind]}", "--port", str(port)]
            command += ["--database", self.postgresql[rows], "--issuer", self.issuer, "--size", str(size)]
            return running(command, url, log, {"PYTHONPATH": str(ROOT)})
        environment = {
            **OURS[kind],
            "JOBBERGATE_DATABASE__URL": (self.sqlite if kind == "sqlite" else self.postgresql)[rows],
            "JOBBERGATE_FILES__URL": self.files,
            "JOBBERGATE_OIDC__ISSUER": self.issuer,
            "JOBBERGATE_SERVER__PORT": str(port),
            "PYTHONPATH": self.example_path if kind == "licences" else "",
        }
        return running([COMMAND, "serve"], url, log, environment)


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
