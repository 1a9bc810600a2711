"""The commands, each as a process of its own: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from aiohttp.test_utils import unused_port

from jobbergate_server import __version__
from jobbergate_server.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.conftest import Site

COMMAND = str(Path(sys.executable).with_name("jobbergate-server"))
OWNER = "local-user@jobbergate.local"
PATIENCE = 30
"""Seconds after which a test gives up; far more than anything takes."""

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


class Server:
    """A server that runs in a process group of its own."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        number = len(list(folder.glob("*.out")))
        self.folder = folder
        self._files = [folder / f"{number}.out", folder / f"{number}.err"]
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = subprocess.Popen(  # noqa: S603 - the command under test
                [COMMAND, *arguments],
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
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    server = Server(folder, *arguments, **variables)
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


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server with samples, which also is the provider of the servers in its folder."""
    with developing(tmp_path_factory.mktemp("dev")) as server:
        yield server


def test_the_version_is_told(tmp_path: Path) -> None:
    assert printed(tmp_path, "--version") == f"jobbergate-server, version {__version__}\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "jobbergate.example.com"])  # noqa: S104 - what is refused
def test_the_development_server_refuses_to_listen_elsewhere(tmp_path: Path, host: str) -> None:
    assert refused(tmp_path, "dev", "--host", host) == (
        f"Error: server.host: the development server listens on loopback only, not on {host}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_development_server_says_where_and_how(dev: Server) -> None:
    url = origin(dev)
    first, docs, token, curl = dev.output.splitlines()
    assert first == f"Jobbergate Server serves {url}/jobbergate"
    assert docs == f"API documentation: {url}/jobbergate/docs"
    assert token == f"Get a token:       {COMMAND} token"
    shape = 'Try it:            curl --header "Authorization: Bearer TOKEN" '
    assert re.sub(r"eyJ[\w.-]+", "TOKEN", curl) == f"{shape}{url}/jobbergate/job-scripts"
    status, page = get(f"{url}/jobbergate/docs")
    assert (status, b"swagger-ui" in page) == (200, True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_its_curl_line_works_when_pasted_anywhere(dev: Server, tmp_path: Path) -> None:
    line = dev.output.splitlines()[-1].removeprefix("Try it:").strip()
    done = subprocess.run(  # noqa: S603 - the line that the server printed
        ["/bin/sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["pagination"] == {"total": 1, "start": None, "limit": None}
    (script,) = answer["results"]
    assert script["job_script_owner_email"] == OWNER
    assert script["application_id"] == 1


def test_its_token_command_prints_a_token_and_nothing_else(dev: Server) -> None:
    token = printed(dev.folder, "token")
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+\n", token)
    found = claims(token)
    assert (found["email"], found["azp"], found["iss"]) == (OWNER, "local-cluster", f"{origin(dev)}/oidc")
    assert {"jobbergate:applications:edit", "jobbergate:job-scripts:view"} <= set(found["permissions"])
    assert total(origin(dev), token.strip()) == 1


def test_a_token_is_for_whom_and_what_it_is_asked_for(dev: Server) -> None:
    options = ("--email", "a@example.com", "--client-id", "cluster", "--permission", "a:view", "--permission", "a:edit")
    found = claims(printed(dev.folder, "token", *options))
    assert (found["email"], found["azp"], found["permissions"]) == ("a@example.com", "cluster", ["a:view", "a:edit"])


def test_a_token_is_alone_on_standard_output_also_when_there_is_something_to_log(dev: Server, site: Site) -> None:
    site.install("alpha", "raise RuntimeError('out of licences')")
    variables = {"PYTHONPATH": str(site.folder), "JOBBERGATE_PLUGINS__OPTIONAL": '["alpha"]'}
    done = run(dev.folder, "token", **variables)
    assert (done.returncode, done.stdout.count("\n"), done.stdout[:3]) == (0, 1, "eyJ")
    assert "optional plugin left out" in done.stderr


def test_without_a_development_server_there_is_no_token(tmp_path: Path) -> None:
    assert refused(tmp_path, "token") == (
        "Error: No development issuer in var/issuer: start `jobbergate-server dev` first.\n"
    )


def test_the_settings_file_is_passed_on_to_the_token_command(tmp_path: Path) -> None:
    (tmp_path / "my settings.toml").write_text('[database]\nurl = "sqlite:///other/rows.db"\n[log]\nlevel = "ERROR"\n')
    with developing(tmp_path, "--config", "my settings.toml", "--no-samples") as server:
        line = server.output.splitlines()[2].removeprefix("Get a token:").strip()
        done = subprocess.run(  # noqa: S603 - likewise
            ["/bin/sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE, check=True
        )
        assert total(origin(server), done.stdout.decode().strip()) == 0
        assert (tmp_path / "other/rows.db").exists()
        assert server.stop(signal.SIGINT) == 0
        assert server.log == ""


def test_a_restart_keeps_the_rows_and_adds_no_second_sample(tmp_path: Path) -> None:
    with developing(tmp_path) as server:
        token = server.output.split("Bearer ")[1].split('"')[0]
        assert total(origin(server), token) == 1
        assert server.stop() == 0
    with developing(tmp_path) as server:
        assert total(origin(server), printed(tmp_path, "token").strip()) == 1
        assert server.stop() == 0


def test_migrations_are_named_once(tmp_path: Path) -> None:
    applied = printed(tmp_path, "migrate").splitlines()
    assert applied[0] == "applications.0001_initial"
    assert {"job_scripts.0001_initial", "job_submissions.0001_initial"} <= set(applied)
    assert printed(tmp_path, "migrate") == "The schema is up to date.\n"


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    variables = {"JOBBERGATE_DATABASE__URL": f"postgresql://user:hunter2@127.0.0.1:{unused_port()}/name"}
    message = "Error: database.url: not reachable (ConnectionRefusedError)\n"
    assert refused(tmp_path, "migrate", **variables) == message
    done = run(tmp_path, "dev", "--port", "0", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(message)


def test_the_plugins_are_listed_with_their_states(tmp_path: Path, site: Site) -> None:
    site.install("alpha")
    site.install(
        "beta",
        """
        from jobbergate_server import hookimpl
        @hookimpl
        def register_routes():
            raise RuntimeError("out of licences")
        """,
    )
    variables = {
        "PYTHONPATH": str(site.folder),
        "JOBBERGATE_PLUGINS__OPTIONAL": '["beta"]',
        "JOBBERGATE_PLUGINS__DISABLED": '["alpha"]',
        "JOBBERGATE_LOG__LEVEL": "CRITICAL",
    }
    rows = json.loads(printed(tmp_path, "plugins", "--json", **variables))
    by_name = {row["name"]: row for row in rows}
    reason = "register_routes: RuntimeError: out of licences"
    assert by_name["alpha"] == {
        "name": "alpha",
        "version": "1.0",
        "state": "disabled",
        "reason": "disabled in the settings",
    }
    assert by_name["beta"] == {"name": "beta", "version": "1.0", "state": "failed", "reason": reason}
    assert by_name["job-scripts"]["state"] == "active"
    lines = printed(tmp_path, "plugins", **variables).splitlines()
    assert lines[0] == f"service                 {__version__}       active"
    assert f"beta                    1.0         failed  ({reason})" in lines


def test_a_check_says_of_each_part_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a directory")
    done = run(tmp_path, "check", JOBBERGATE_FILES__URL="file:///files")
    assert (done.returncode, done.stderr) == (1, "")
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(lines) == ["settings", "database", "schema", "issuer", "files"]
    assert (lines["settings"], lines["database"]) == ("ok", "ok")
    assert lines["schema"].startswith("migrations are missing: applications.0001_initial, ")
    assert lines["issuer"] == "oidc.issuer is not set"
    assert lines["files"].startswith("not writable (")


def test_a_check_without_database_and_provider_goes_on(tmp_path: Path) -> None:
    port = unused_port()
    variables = {
        "JOBBERGATE_DATABASE__URL": f"postgresql://user:hunter2@127.0.0.1:{port}/name",
        "JOBBERGATE_OIDC__ISSUER": f"http://127.0.0.1:{port}/oidc",
    }
    done = run(tmp_path, "check", **variables)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "settings: ok",
        "database: not reachable (ConnectionRefusedError)",
        "schema: not known without a database",
    ]
    assert lines[3].startswith(f"issuer: ClientConnectorError: Cannot connect to host 127.0.0.1:{port} ")
    assert lines[4:] == ["files: ok"]
    assert "hunter2" not in done.stdout + done.stderr


def test_a_check_of_a_server_that_can_start_is_ok(dev: Server) -> None:
    done = run(dev.folder, "check", JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc")
    assert done.stdout == "settings: ok\ndatabase: ok\nschema: ok\nissuer: ok\nfiles: ok\n"
    assert done.returncode == 0


def test_a_check_of_wrong_settings_names_every_key(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('color = "red"\n[server]\nport = -1\n')
    done = run(tmp_path, "check", "--config", "a.toml")
    assert done.stdout == ("settings: server.port: Input should be greater than or equal to 0\ncolor: unknown key\n")
    assert done.returncode == 1


def test_a_settings_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, "plugins", "--config", "a.toml") == "Error: a.toml: no such file\n"


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
    assert "Error: The schema is behind: applications.0001_initial, " in text
    assert "Run `jobbergate-server migrate`, or set database.migrate_on_start.\n" in text
    assert text.endswith("Error: No worker could start.\n") is (workers > 1)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = serve_refused(tmp_path, "--port", str(port), JOBBERGATE_OIDC__ISSUER="https://idp.example.com")
    assert text == f"Error: server.host, server.port: 127.0.0.1:{port}: Address already in use\n"


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
        server.wait_for(lambda: "worker died and is replaced" in server.log)
        token = printed(dev.folder, "token").strip()
        os.kill(second, signal.SIGKILL)
        server.wait_for(lambda: second not in server.workers and len(server.workers) == 2)
        server.wait_for(lambda: answers(url))
        assert total(url, token) == 1
        assert server.stop() == 0
        assert server.leaves_nobody_behind()


@pytest.mark.parametrize("delay", [0, 0.01, 0.05, 0.2])
def test_a_server_that_is_stopped_while_its_workers_start_leaves_nobody_behind(dev: Server, delay: float) -> None:
    arguments = ("serve", "--port", "0", "--workers", "3")
    with running(dev.folder, *arguments, JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc") as server:
        server.wait_for(lambda: server.workers)
        time.sleep(delay)  # not a wait: the moment of the signal is what is tried
        assert server.stop() == 0
        assert server.leaves_nobody_behind()
