"""`serve` as a process of its own: when it refuses to start, how it ends, and how its workers are replaced."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest
from commands import printed
from patience import PATIENCE
from ports import unused_port
from processes import (
    Server,
    answers,
    developing,
    get,
    origin,
    run,
    running,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server with samples, which also is the provider of the servers in its folder."""
    with developing(tmp_path_factory.mktemp("dev")) as server:
        yield server


PATIENT = f"""
from jobbergate_server.serving import processes as server
from jobbergate_server.cli.main import main

server.DRAIN_SECONDS, server.STOP_SECONDS = {PATIENCE}, {2 * PATIENCE}
main()
"""
"""The command, with a server that goes on for longer after SIGTERM, so that a busy machine has time to see it."""


def serve_refused(folder: Path, *arguments: str, **variables: str) -> str:
    """What `serve` says last when it cannot start, after the line that says where it listens."""
    done = run(folder, "serve", *arguments, **{"JOBBERGATE_LOG__LEVEL": "ERROR"} | variables)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_server_needs_a_provider(tmp_path: Path) -> None:
    assert serve_refused(tmp_path, "--port", "0") == "Error: oidc.issuer: must be set\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_needs_a_schema_that_is_up_to_date(tmp_path: Path, workers: int) -> None:
    text = serve_refused(
        tmp_path, "--port", "0", "--workers", str(workers), JOBBERGATE_OIDC__ISSUER="https://idp.example.com"
    )
    assert "Error: The database schema is out of date. Missing migrations: applications.0001_initial, " in text
    assert "Run `jobbergate-server migrate`, or set database.migrate_on_start.\n" in text
    assert text.endswith("Error: No worker could start.\n") is (workers > 1)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = serve_refused(tmp_path, "--port", str(port), JOBBERGATE_OIDC__ISSUER="https://idp.example.com")
    assert text == f"Error: server.host, server.port: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_server_serves_until_it_is_told_to_stop(dev: Server) -> None:
    issuer = f"{origin(dev)}/oidc"
    with running(dev.folder, "serve", "--port", "0", JOBBERGATE_OIDC__ISSUER=issuer) as server:
        server.wait_for(lambda: "listening" in server.log)
        found = re.search(r"listening +host=127\.0\.0\.1 port=(\d+)$", server.log, re.MULTILINE)
        assert found is not None
        url = f"http://127.0.0.1:{found[1]}"
        server.wait_for(lambda: answers(url))
        assert total(url, printed(dev.folder, "token").strip()) == 1
        assert server.stop() == 0
        assert server.output == ""
        assert server.leaves_nobody_behind()


def test_a_worker_that_is_killed_is_replaced_and_all_stop_together(dev: Server) -> None:
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("serve", "--port", str(port), "--workers", "2")
    with running(dev.folder, *arguments, JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc") as server:
        server.wait_for(lambda: answers(url))
        first, second = server.workers
        os.kill(first, signal.SIGKILL)
        server.wait_for(lambda: first not in server.workers and len(server.workers) == 2)
        assert second in server.workers
        server.wait_for(lambda: "worker exited and is replaced" in server.log)
        token = printed(dev.folder, "token").strip()
        os.kill(second, signal.SIGKILL)
        server.wait_for(lambda: second not in server.workers and len(server.workers) == 2)
        server.wait_for(lambda: answers(url))
        assert total(url, token) == 1
        assert server.stop() == 0
        assert server.leaves_nobody_behind()


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_server_that_is_to_stop_says_so_before_it_takes_no_more_requests(
    dev: Server,
    whole_group: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("serve", "--port", str(port), "--workers", "2")
    command = (sys.executable, "-c", PATIENT)
    issuer = f"{origin(dev)}/oidc"
    with running(dev.folder, *arguments, command=command, JOBBERGATE_OIDC__ISSUER=issuer) as server:
        server.wait_for(lambda: answers(url))
        token = printed(dev.folder, "token").strip()
        if whole_group:  # as systemd does
            os.killpg(server.process.pid, signal.SIGTERM)
        else:
            server.process.send_signal(signal.SIGTERM)
        server.wait_for(lambda: b'"server":"shutting down"' in readiness(url))
        assert total(url, token) == 1
        assert server.stop(signal.SIGINT) == 0
        assert server.leaves_nobody_behind()


def readiness(url: str) -> bytes:
    """What a server says of itself, ready or not."""
    try:
        return get(f"{url}/jobbergate/ready")[1]
    except HTTPError as error:
        return error.read()


def test_a_worker_that_cannot_take_the_place_of_another_tries_again_and_the_others_go_on(tmp_path: Path) -> None:
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("serve", "--port", str(port), "--workers", "2")
    with (
        developing(tmp_path) as dev,
        running(tmp_path, *arguments, JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc") as server,
        closing(sqlite3.connect(tmp_path / "var" / "jobbergate.db", isolation_level=None)) as database,
    ):
        server.wait_for(lambda: answers(url))
        assert each_answers(server, url)
        first, second = server.workers
        database.execute("UPDATE tortoise_migrations SET app = 'away' WHERE app = 'webhooks'")
        os.kill(first, signal.SIGKILL)
        missing = "Error: The database schema is out of date. Missing migrations: webhooks.0001_initial"
        server.wait_for(lambda: server.log.count(missing) > 1)
        assert answers(url)
        database.execute("UPDATE tortoise_migrations SET app = 'webhooks' WHERE app = 'away'")
        server.wait_for(lambda: len(server.workers) == 2 and each_answers(server, url))
        assert second in server.workers
        assert server.stop() == 0
        assert server.leaves_nobody_behind()


def each_answers(server: Server, url: str) -> bool:
    """Whether every one of two workers answers while the other cannot."""
    for pid in server.workers:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:  # it could not start
            return False
        try:
            if not answers(url):
                return False
        finally:
            os.kill(pid, signal.SIGCONT)
    return True


@pytest.mark.parametrize("delay", [0, 0.01, 0.1])
def test_a_server_that_is_stopped_while_its_workers_start_leaves_nobody_behind(dev: Server, delay: float) -> None:
    arguments = ("serve", "--port", "0", "--workers", "3")
    with running(dev.folder, *arguments, JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc") as server:
        server.wait_for(lambda: server.workers)
        time.sleep(delay)  # not a wait: the moment of the signal is what is tried
        assert server.stop() == 0
        assert server.leaves_nobody_behind()
