"""An installation of the server for a drill, with its own database and file store."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import create_database, drop_database, migrate
from benchmarks.postgres import Cluster
from benchmarks.processes import Server, running
from benchmarks.provider import Provider
from benchmarks.servers import COMMAND, READY, free_port
from drills.client import Client

OWNER = "owner@example.com"
RESOURCES = ("applications", "job-scripts", "job-submissions", "webhooks")
PERMISSIONS = [f"jobbergate:{resource}:{what}" for resource in RESOURCES for what in ("view", "edit")]
LOOPBACK = "127.0.0.1"
PAUSE = 0.02
"""Seconds between two requests for readiness. A shorter pause would slow down the start."""


class Installation:
    """A database, a file store, and the servers that share them. ``variables`` are settings of all servers."""

    def __init__(self, folder: Path, provider: Provider, database: str, variables: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.database = database
        self.files = folder / "files"
        self.provider = provider
        self._folder = folder
        self._variables = variables
        self._port = free_port()
        self._starts = 0

    @property
    def url(self) -> str:
        """The URL of its server."""
        return f"http://{LOOPBACK}:{self._port}"

    def client(self, *, client_id: str | None = None, reconnects: bool = False, url: str | None = None) -> Client:
        """Return a client with the token of the owner, or of the agent of ``client_id``."""
        email = OWNER if client_id is None else None
        token = self.provider.issuer.token(email=email, client_id=client_id, permissions=PERMISSIONS)
        return Client(url or self.url, token, reconnects=reconnects)

    def start(
        self, port: int | None = None, *, host: str = LOOPBACK, prefix: Sequence[str] = (), **variables: str
    ) -> AbstractContextManager[Server]:
        """Start a server, on the port of the installation or on another one.

        ``prefix`` is a command that runs the server, as `nice` does.
        """
        self._starts += 1
        port = port or self._port
        environment = {
            "JOBBERGATE_DATABASE__URL": self.database,
            "JOBBERGATE_FILES__URL": f"file:///{self.files}",
            "JOBBERGATE_OIDC__ISSUER": self.provider.issuer.url,
            "JOBBERGATE_SERVER__HOST": host,
            "JOBBERGATE_SERVER__PORT": str(port),
            "JOBBERGATE_LOG__LEVEL": "WARNING",
            **self._variables,
            **variables,
        }
        log = self._folder / f"server-{self._starts}.log"
        return running([*prefix, COMMAND, "serve"], f"http://{host}:{port}", log, environment)

    @asynccontextmanager
    async def serving(
        self, port: int | None = None, *, host: str = LOOPBACK, prefix: Sequence[str] = (), **variables: str
    ) -> AsyncIterator[Server]:
        """Run a server: wait until it is ready, and stop it at the end."""
        with self.start(port, host=host, prefix=prefix, **variables) as server:
            await ready(server)
            try:
                yield server
            finally:
                await asyncio.to_thread(server.stop)


async def ready(server: Server) -> None:
    """Wait until the server is ready.

    Raises:
        ServerError: The server ends, or is not ready in time.
    """
    await asyncio.to_thread(server.wait_for, READY, pause=PAUSE)


@dataclass(frozen=True)
class Run:
    """The shared resources of all drills of a run."""

    folder: Path
    postgres: Cluster
    provider: Provider

    @asynccontextmanager
    async def installation(
        self, name: str, variables: Mapping[str, str] = {}, *, sqlite: bool = False, is_migrated: bool = True
    ) -> AsyncIterator[Installation]:
        """Create an installation with an empty database, on PostgreSQL or SQLite, and drop it at the end."""
        folder = self.folder / name
        if sqlite:
            folder.mkdir()
            url = f"sqlite:///{folder}/jobbergate.db"
        else:
            database = f"jobbergate_drill_{name}"
            url = self.postgres.database(database)
            await create_database(self.postgres.url, database)
        try:
            if is_migrated:
                await asyncio.to_thread(migrate, COMMAND, url, "")
            yield Installation(folder, self.provider, url, variables)
        finally:
            if not sqlite:
                await drop_database(self.postgres.url, database)
