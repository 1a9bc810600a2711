"""The commands: what each prints, what it leaves, and how it ends; one of each is a process, as a user runs it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from commands import printed, refused, run
from patience import PATIENCE
from ports import unused_port
from processes import (
    COMMAND,
    OWNER,
    Server,
    developing,
    environment,
    get,
    origin,
    total,
)
from processes import printed as printed_by_process
from processes import run as run_process

from jobbergate_server import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Site


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
    assert printed_by_process(tmp_path, "--version") == f"jobbergate-server, version {__version__}\n"


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
    token = printed_by_process(dev.folder, "token")
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
    assert (done.exit_code, done.stdout.count("\n"), done.stdout[:3]) == (0, 1, "eyJ")
    assert "optional plugin failed" in done.stderr


def test_tokens_have_their_permissions_where_the_settings_say(tmp_path: Path) -> None:
    variables = {"JOBBERGATE_OIDC__PERMISSIONS_CLAIM": '["resource_access", "jobbergate", "roles"]'}
    with developing(tmp_path, **variables) as dev:
        told = re.search(r"Bearer (\S+)\"", dev.output)
        assert told is not None
        for token in (told[1], printed(tmp_path, "token", **variables).strip()):
            assert "jobbergate:job-scripts:view" in claims(token)["resource_access"]["jobbergate"]["roles"]
            assert total(origin(dev), token) == 1


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
    assert {"job_scripts.0001_initial", "job_submissions.0001_initial", "service.0001_initial"} <= set(applied)
    assert printed(tmp_path, "migrate") == "The database schema is up to date.\n"


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    variables = {"JOBBERGATE_DATABASE__URL": f"postgresql://user:hunter2@127.0.0.1:{unused_port()}/name"}
    message = "Error: database.url: not reachable (ConnectionRefusedError)\n"
    assert refused(tmp_path, "migrate", **variables) == message
    done = run_process(tmp_path, "dev", "--port", "0", **variables)
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
    rows = json.loads(printed_by_process(tmp_path, "plugins", "--json", **variables))
    by_name = {row["name"]: row for row in rows}
    reason = f"register_routes: RuntimeError: out of licences ({site.folder}/site_beta.py:6)"
    assert by_name["alpha"] == {
        "name": "alpha",
        "version": "1.0",
        "state": "disabled",
        "reason": "disabled in the settings",
    }
    assert by_name["beta"] == {"name": "beta", "version": "1.0", "state": "failed", "reason": reason}
    assert by_name["job-scripts"]["state"] == "active"
    lines = printed(tmp_path, "plugins", **variables).splitlines()
    assert f"service                 {__version__}       active" in lines
    assert f"beta                    1.0         failed  ({reason})" in lines


def test_a_check_says_of_each_part_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a directory")
    done = run(tmp_path, "check", JOBBERGATE_FILES__URL="file:///files")
    assert (done.exit_code, done.stderr) == (1, "")
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(lines) == ["settings", "database", "schema", "issuer", "files"]
    assert (lines["settings"], lines["database"]) == ("ok", "ok")
    assert lines["schema"].startswith("missing migrations: applications.0001_initial, ")
    assert lines["issuer"] == "oidc.issuer is not set"
    assert lines["files"].startswith("not writable (")


def test_a_check_without_database_and_provider_goes_on(tmp_path: Path) -> None:
    port = unused_port()
    variables = {
        "JOBBERGATE_DATABASE__URL": f"postgresql://user:hunter2@127.0.0.1:{port}/name",
        "JOBBERGATE_OIDC__ISSUER": f"http://127.0.0.1:{port}/oidc",
    }
    done = run(tmp_path, "check", **variables)
    assert done.exit_code == 1
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
    done = run_process(dev.folder, "check", JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc")
    assert done.stdout == "settings: ok\ndatabase: ok\nschema: ok\nissuer: ok\nfiles: ok\n"
    assert done.returncode == 0


def test_a_check_names_the_permissions_of_roles_that_there_are_not(dev: Server) -> None:
    roles = {"staff": ["jobbergate:job-scripts:view", "jobbergate:job-scripts:read"], "guest": ["view"]}
    issuer = f"{origin(dev)}/oidc"
    done = run(dev.folder, "check", JOBBERGATE_OIDC__ISSUER=issuer, JOBBERGATE_OIDC__ROLES=json.dumps(roles))
    assert done.stdout.splitlines() == [
        "settings: oidc.roles.staff: no plugin registers the permission 'jobbergate:job-scripts:read'",
        "oidc.roles.guest: no plugin registers the permission 'view'",
        "database: ok",
        "schema: ok",
        "issuer: ok",
        "files: ok",
    ]
    assert done.exit_code == 1


def test_a_check_of_wrong_settings_names_every_key(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('color = "red"\n[server]\nport = -1\n')
    done = run(tmp_path, "check", "--config", "a.toml")
    assert done.stdout == ("settings: server.port: Input should be greater than or equal to 0\ncolor: unknown key\n")
    assert done.exit_code == 1


def test_a_settings_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, "plugins", "--config", "a.toml") == "Error: a.toml: no such file\n"
