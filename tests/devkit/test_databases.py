"""The databases of tests: what a run leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from patience import PATIENCE
from processes import LEAN, PYTEST, environment

if TYPE_CHECKING:
    from collections.abc import Callable

HOLDS_POSTGRESQL = """
from pathlib import Path
from threading import Event

def test_that_never_ends(postgres_url):
    Path("started").write_text(postgres_url)
    Path("started").rename("url")
    Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_neither_postgresql_nor_its_files(tmp_path: Path, number: signal.Signals) -> None:
    test, url = tmp_path / "test_holds.py", tmp_path / "url"
    test.write_text(HOLDS_POSTGRESQL)
    # Not as a part of the run that this test is of, whose server it would use.
    variables = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    command = [str(PYTEST), str(test), "-q", *LEAN, f"--basetemp={tmp_path}/pytest"]
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL) as run:  # noqa: S603 - pytest
        try:
            wait_until(url.exists)
            found = re.search(r"host=(.*)/data", url.read_text())
            assert found is not None
            directory = Path(found[1])
            pid = (directory / "data" / "postmaster.pid").read_text().split()[0]
            postgresql = Path("/proc", pid, "cwd")
            assert postgresql.readlink() == directory / "data"
            run.send_signal(number)
            run.wait(PATIENCE)
        finally:
            run.kill()
    wait_until(lambda: not directory.exists())
    assert not postgresql.exists()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
