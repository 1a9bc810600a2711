"""Several workers of a real `serve`: whichever is asked answers for all of them."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ports import unused_port
from processes import answers, get, run, running
from scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server

HEALTH = {"method": "GET", "route": "/jobbergate/health", "plugin": "service", "status": "204"}


@pytest.fixture
def variables(database_url: str) -> dict[str, str]:
    """The settings of a server whose provider nobody asks, as the requests of these tests carry no token."""
    return {
        "JOBBERGATE_OIDC__ISSUER": "https://idp.example.com",
        "JOBBERGATE_DATABASE__URL": database_url,
        "JOBBERGATE_PLUGINS__PROMETHEUS__PORT": str(unused_port()),
    }


@contextmanager
def paused(server: Server, worker: int) -> Iterator[None]:
    """While the worker does not run, so that the other one takes every request."""
    os.kill(worker, signal.SIGSTOP)
    try:
        server.wait_for(lambda: Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def test_whichever_worker_is_asked_answers_for_all(variables: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    metrics = f"http://127.0.0.1:{variables['JOBBERGATE_PLUGINS__PROMETHEUS__PORT']}/metrics"

    def scrape() -> Scrape:
        return Scrape(get(metrics)[1].decode())

    def shares(worker: int) -> bool:
        return (folder / f"gauge_livesum_{worker}.db").exists()

    arguments = ("serve", "--port", str(port), "--workers", "2")
    with running(tmp_path, *arguments, PROMETHEUS_MULTIPROC_DIR=str(folder), **variables) as server:
        server.wait_for(lambda: len(server.workers) == 2 and all(shares(worker) for worker in server.workers))
        server.wait_for(lambda: answers(url))
        first, second = server.workers
        before = scrape().value("jobbergate_http_requests_total", **HEALTH)
        for worker in (first, second):
            with paused(server, worker):
                for _ in range(3):
                    get(f"{url}/jobbergate/health")
        # Each scrape is a new connection, which the kernel hands to either of the two.
        for found in [scrape() for _ in range(8)]:
            assert found.value("jobbergate_http_requests_total", **HEALTH) == before + 6
            assert found.value(
                "jobbergate_http_request_duration_seconds_count", route="/jobbergate/health", plugin="service"
            ) == (before + 6)
            assert len(found.series("python_info")) == 1
            assert not found.series("process_cpu_seconds_total")
        server.wait_for(lambda: scrape().value("jobbergate_database_connections") >= 2)

        os.kill(first, signal.SIGKILL)
        server.wait_for(lambda: first not in server.workers and len(server.workers) == 2)
        server.wait_for(lambda: all(shares(worker) for worker in server.workers))
        server.wait_for(lambda: not shares(first))
        server.wait_for(lambda: scrape().value("jobbergate_database_connections") >= 2)
        assert scrape().value("jobbergate_http_requests_total", **HEALTH) == before + 6

        assert server.stop() == 0
        assert not list(folder.glob("gauge_live*"))


@pytest.mark.database("sqlite")
def test_without_a_shared_directory_several_workers_do_not_start(variables: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", "0", "--workers", "2", **variables)
    assert done.returncode == 1
    port = variables["JOBBERGATE_PLUGINS__PROMETHEUS__PORT"]
    assert f"plugins.prometheus.port: 127.0.0.1:{port}: Address already in use; to share it" in done.stderr
    assert "PROMETHEUS_MULTIPROC_DIR" in done.stderr


@pytest.mark.database("sqlite")
def test_a_shared_directory_must_be_there(variables: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", "0", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "nowhere"), **variables)
    assert done.returncode == 1
    assert "plugin 'prometheus' (jobbergate-prometheus " in done.stderr
    assert "PROMETHEUS_MULTIPROC_DIR is not set or not a directory" in done.stderr
