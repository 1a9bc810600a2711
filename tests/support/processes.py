"""The command `jobbergate-server` as a process of its own, for tests that run it as a user does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, Request, build_opener

from patience import PATIENCE

from jobbergate_server.settings_sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


COMMAND = str(Path(sys.executable).with_name("jobbergate-server"))
OWNER = "local-user@jobbergate.local"

PYTEST = Path(sys.executable).with_name("pytest")
LEAN = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
"""Options for a pytest that does without plugins that take seconds to import, and that no plugin of ours needs."""

fetch = build_opener(ProxyHandler({})).open


def environment(**variables: str) -> dict[str, str]:
    """The variables of a process: those of the tests without the settings of whoever runs them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | {"no_proxy": "*", "NO_PROXY": "*"} | variables


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the command under test
        [COMMAND, *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def printed(folder: Path, *arguments: str, **variables: str) -> str:
    """What the command prints when all is well."""
    done = run(folder, *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(folder: Path, *arguments: str, **variables: str) -> str:
    """What the command says when it refuses."""
    done = run(folder, *arguments, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def succeeds(folder: Path, *command: str | Path, **variables: str) -> str:
    """What another program prints, which must succeed."""
    done = subprocess.run(  # noqa: S603 - programs that a test names
        command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def passes_its_tests(folder: Path, tests: str | Path, *options: str, **variables: str) -> str:
    """Run the tests of a plugin, which must pass, in a pytest of their own; the last line of what it prints."""
    return succeeds(
        folder, PYTEST, tests, "-q", *LEAN, f"--basetemp={folder}/pytest", *options, **variables
    ).splitlines()[-1]


class Server:
    """A server that runs in a process group of its own."""

    def __init__(self, folder: Path, *arguments: str, command: Sequence[str] = (COMMAND,), **variables: str) -> None:
        number = len(list(folder.glob("*.out")))
        self.folder = folder
        self._files = [folder / f"{number}.out", folder / f"{number}.err"]
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = subprocess.Popen(  # noqa: S603 - the command under test
                [*command, *arguments],
                cwd=folder,
                env=environment(**variables),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has written to standard output."""
        return self._files[0].read_text()

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._files[1].read_text()

    @property
    def workers(self) -> list[int]:
        """The processes that it has started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds; the server must go on all the while."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log}"
            assert time.monotonic() < deadline, f"nothing happened: {self.output}\n{self.log}"
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def leaves_nobody_behind(self) -> bool:
        """Whether all processes of the group end soon after the first."""
        deadline = time.monotonic() + PATIENCE
        while members(self.process.pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def members(group: int) -> list[int]:
    """The processes of the group that live; one that ended may wait long for an init that does not look after it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, member_of, *_ = file.read_text().rpartition(")")[2].split()
            if int(member_of) == group and state not in "ZX":
                found.append(int(file.parent.name))
    return found


@contextmanager
def running(folder: Path, *arguments: str, command: Sequence[str] = (COMMAND,), **variables: str) -> Iterator[Server]:
    server = Server(folder, *arguments, command=command, **variables)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)


@contextmanager
def developing(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """A development server that has said everything that it says."""
    with running(folder, "dev", "--port", "0", *arguments, **variables) as server:
        server.wait_for(lambda: re.search(r"^Try it: .*\n", server.output, re.MULTILINE))
        yield server


def origin(server: Server) -> str:
    found = re.search(r"^API documentation: (http://127\.0\.0\.1:\d+)/jobbergate/docs$", server.output, re.MULTILINE)
    assert found is not None
    return found[1]


def get(url: str, token: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with fetch(Request(url, headers=headers), timeout=PATIENCE) as response:  # noqa: S310 - a URL of this test
        return response.status, response.read()


def answers(url: str) -> bool:
    with suppress(OSError):
        return get(f"{url}/jobbergate/health")[0] == 204
    return False


def total(url: str, token: str) -> int:
    number: int = json.loads(get(f"{url}/jobbergate/job-scripts", token)[1])["pagination"]["total"]
    return number
