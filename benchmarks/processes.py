"""Servers as processes: how they are started and stopped, and what they use of CPU and memory."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from jobbergate_server.settings_sources import PREFIX

PATIENCE = 60
"""Seconds after which a server that does not answer has failed."""
POLL = 0.005
PRINTED = 2000
"""Characters of what a server has printed that an error quotes."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20

_open = build_opener(ProxyHandler({})).open


class ServerError(Exception):
    """A server does not start, or answers with an error."""


class Server:
    """A running server, in a process group of its own."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._process.pid

    def cpu(self) -> float:
        """Seconds of CPU that all of its processes have used until now."""
        return cpu_seconds(self.pid)

    def memory(self) -> float:
        """MiB that the largest of its processes holds."""
        return max(_resident(pid) for pid in tree(self.pid)) * PAGE / MIB

    def ask(self, path: str, token: str | None = None, *, method: str = "GET", body: str | None = None) -> bytes:
        """The body of its answer, which must be a good one.

        Raises:
            ServerError: It does not answer, or refuses.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = body.encode() if body is not None else None
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310 - a server of this run
        try:
            with _open(request, timeout=PATIENCE) as answer:
                return bytes(answer.read())
        except OSError as error:
            raise ServerError(f"{path}: {error}\n{self._printed()}") from None

    def wait_for(self, path: str, *, pause: float = POLL) -> None:
        """Wait until it gives a good answer at ``path``, for which it is asked every ``pause`` seconds.

        Raises:
            ServerError: It ends, or never does.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(ServerError):
                self.ask(path)
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"a server did not start:\n{self._printed()}")
            time.sleep(pause)

    def kill(self) -> None:
        """End its first process as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end as `kill` does; its exit status.

        Raises:
            TimeoutExpired: It goes on.
        """
        self._process.terminate()
        return self._process.wait(PATIENCE)

    @property
    def is_running(self) -> bool:
        """Whether its first process is there."""
        return self._process.poll() is None

    def _printed(self) -> str:
        return self._log.read_text()[-PRINTED:]


@contextmanager
def running(command: list[str], url: str, log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """The server that ``command`` starts and that is to serve at ``url``; what it prints is added to ``log``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603 - a server of this run
            command,
            cwd=log.parent,
            env={**inherited, **environment},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield Server(url, process, log)
    finally:
        process.send_signal(signal.SIGINT)  # which no server takes time for, as one does for who shares out requests
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tree(pid: int) -> list[int]:
    """The process and all that come from it, as far as they live."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


def children(pid: int) -> list[int]:
    """The processes that the process has started, as far as they live."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that the process, all that come from it, and those of them that have ended have used."""
    return sum(_ticks(each) for each in tree(pid)) / TICKS


def _ticks(pid: int) -> int:
    """The CPU time of the process and of its children that have ended: fields 14 to 17 of proc(5)."""
    with suppress(OSError):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0
