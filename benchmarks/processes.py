"""Servers as processes: start and stop, CPU time and memory."""

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
"""Seconds within which a server must respond."""
POLL = 0.005
"""Seconds between two requests for readiness."""
PRINTED = 2000
"""Characters of a server's output that an error quotes."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20

_open = build_opener(ProxyHandler({})).open


class ServerError(Exception):
    """A server that does not start, or returns an error."""


class Server:
    """A running server, in its own process group."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the seconds of CPU that all its processes have used."""
        return cpu_seconds(self.pid)

    def memory(self) -> float:
        """Return the MiB of its largest process."""
        return max(_resident(pid) for pid in tree(self.pid)) * PAGE / MIB

    def ask(self, path: str, token: str | None = None, *, method: str = "GET", body: str | None = None) -> bytes:
        """Send a request, and return the body of the 2xx response.

        Raises:
            ServerError: The server does not respond, or returns an error.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = body.encode() if body is not None else None
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310 - a server of this run
        try:
            with _open(request, timeout=PATIENCE) as response:
                return bytes(response.read())
        except OSError as error:
            raise ServerError(f"{path}: {error}\n{self._printed()}") from None

    def wait_for(self, path: str, *, pause: float = POLL) -> None:
        """Request ``path`` every ``pause`` seconds until the response is 2xx.

        Raises:
            ServerError: The server ends, or does not respond in time.
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
        """Kill its first process (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Terminate it (SIGTERM), and return its exit status.

        Raises:
            TimeoutExpired: The server does not end in time.
        """
        self._process.terminate()
        return self._process.wait(PATIENCE)

    @property
    def is_running(self) -> bool:
        """Whether its first process is running."""
        return self._process.poll() is None

    def _printed(self) -> str:
        return self._log.read_text()[-PRINTED:]


@contextmanager
def running(command: list[str], url: str, log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a server with ``command``, which serves at ``url``. Append its output to ``log``."""
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
        process.send_signal(signal.SIGINT)  # the server skips its drain time, which SIGTERM would start
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tree(pid: int) -> list[int]:
    """Return the running process and its running descendants."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


def children(pid: int) -> list[int]:
    """Return the running child processes."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU of the process and its descendants, including those that have ended."""
    return sum(_ticks(each) for each in tree(pid)) / TICKS


def _ticks(pid: int) -> int:
    """Return the ticks of CPU of the process and its ended children: fields 14 to 17 of proc(5)."""
    with suppress(OSError):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0
