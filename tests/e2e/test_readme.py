"""The README does what it says: every example in it is run here, and every link leads somewhere."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

import asyncpg
import click
import pytest
from commands import printed as printed_here
from ports import unused_port
from readme import EXAMPLES, README, ROOT

from jobbergate_devkit.issuer import Issuer
from jobbergate_server.plugins.entry_points import command_entries
from jobbergate_server.settings import load_settings
from jobbergate_server.settings_sources import PREFIX

BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:8000"
SCREEN = 65
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for folder in ("core", "docs", "examples", "plugins") for path in (ROOT / folder).rglob("*.md")),
]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


def environment(**variables: str) -> dict[str, str]:
    """The variables of a subprocess: none of this server's settings, and no proxy on the way to loopback."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "MAKE", "MFLAGS"))}
    return inherited | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_PROXY": "*", "no_proxy": "*"} | variables


def run(*command: str, cwd: Path, **variables: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(  # noqa: S603 - commands of this repository
        command, cwd=cwd, env=environment(**variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def shell(script: str, cwd: Path, address: str = ADDRESS, **variables: str) -> str:
    """What the example in ``script`` prints, with the server at ``address``."""
    script = script.replace(".venv/bin/", f"{BIN}/").replace(ADDRESS, address)
    return run("bash", "-euc", script, cwd=cwd, **variables)


@contextmanager
def started(*arguments: str, cwd: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`jobbergate-server` with these arguments, which must end well when it is asked to."""
    with (cwd / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen(  # noqa: S603 - the command of this repository
            [BIN / "jobbergate-server", *arguments],
            cwd=cwd,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0, (cwd / "stderr.txt").read_text()


@contextmanager
def development(cwd: Path, **variables: str) -> Iterator[str]:
    """The address of a development server, as soon as it serves."""
    with started("dev", "--port", "0", cwd=cwd, **variables) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Jobbergate Server serves http://"), (cwd / "stderr.txt").read_text()
        yield line.split("/")[2]


def fetched(url: str, token: str | None = None) -> tuple[int, bytes]:
    """Status and body of the answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=30) as response:  # noqa: S310 - an http URL
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def untimed(answer: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The JSON with the same moment in place of every timestamp."""
    return json.loads(re.sub(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?"', '"2026-01-01T00:00:00"', answer))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the development server runs."""
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def address(directory: Path) -> Iterator[str]:
    """A development server's address."""
    with development(directory) as address:
        yield address


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_knows_the_targets() -> None:
    targets = EXAMPLES["make"].split("\n")[:-1]
    assert targets == ["make run", "make test"]
    last = [run(*target.split(), "--dry-run", cwd=ROOT).splitlines()[-1] for target in targets]
    assert last == [".venv/bin/jobbergate-server dev ", ".venv/bin/pytest -n auto --dist worksteal "]


def test_without_make_every_distribution_is_installed() -> None:
    venv, install, dev = EXAMPLES["without make"].splitlines()
    assert venv == "python3 -m venv .venv"
    distributions = sorted(
        path.parent for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]
    )
    assert install.split() == [
        ".venv/bin/pip",
        "install",
        *(f"./{path.relative_to(ROOT).as_posix()}" for path in distributions),
    ]
    assert dev == ".venv/bin/jobbergate-server dev"


@needs_curl
def test_curl_shows_the_sample_job_script(address: str, directory: Path) -> None:
    answer = shell(EXAMPLES["token"] + EXAMPLES["curl"], directory, address)
    assert "\n" not in answer
    assert untimed(answer) == untimed(EXAMPLES["curl's answer"])


def test_httpx_prints_the_same_with_line_breaks(address: str, directory: Path) -> None:
    token = shell(EXAMPLES["token"] + 'printf %s "$TOKEN"', directory)
    printed = run(sys.executable, "-c", EXAMPLES["httpx"].replace(ADDRESS, address), cwd=directory, TOKEN=token)
    assert untimed(printed) == untimed(EXAMPLES["curl's answer"])
    assert [line.partition(":")[0] for line in printed.splitlines()] == [
        line.partition(":")[0] for line in EXAMPLES["curl's answer"].splitlines()
    ]


def test_a_token_can_be_somebody_elses_and_allow_less(address: str, directory: Path) -> None:
    (options,) = re.findall(r"^`(token --email [^`]*)`", README, re.MULTILINE)
    token = printed_here(directory, *options.split()).strip()
    status, body = fetched(f"http://{address}/jobbergate/job-scripts", token)
    assert (status, json.loads(body)["results"]) == (200, [])
    assert fetched(f"http://{address}/jobbergate/applications", token)[0] == HTTPStatus.FORBIDDEN


def test_the_addresses_in_the_text_answer(address: str) -> None:
    addresses = re.findall(rf"<http://{ADDRESS}([^>]*)>", README)
    assert addresses == ["/jobbergate", "/jobbergate/docs", "/jobbergate/openapi.json"]
    assert [fetched(f"http://{address}{path}")[0] for path in addresses[1:]] == [200, 200]


@pytest.mark.parametrize("query", re.findall(r"`(\?[^`…]*)`", README))
def test_the_queries_in_the_text_are_understood(query: str, address: str, directory: Path) -> None:
    token = printed_here(directory, "token").strip()
    assert fetched(f"http://{address}/jobbergate/job-scripts{query}", token)[0] == HTTPStatus.OK


def test_the_table_has_every_command() -> None:
    entries = {name: entry.load() for name, entry in command_entries().items()}
    assert set(re.findall(r"^\| `([\w -]+)` \|", README, re.MULTILINE)) == set(commands(entries))


def commands(entries: Mapping[str, click.Command], *path: str) -> Iterator[str]:
    """The names of the commands and of those in groups."""
    for name, command in entries.items():
        if isinstance(command, click.Group):
            yield from commands(command.commands, *path, name)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join((*path, name))


def test_file_and_variables_set_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "jobbergate.toml"
    file.write_text(EXAMPLES["settings file"])
    from_file = load_settings(file)
    assert from_file.model_dump() != load_settings().model_dump()
    for line in EXAMPLES["settings variables"].splitlines():
        monkeypatch.setenv(*line.removeprefix("export ").split("="))
    assert load_settings().model_dump() == from_file.model_dump()


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables."""
    name = f"readme_{uuid4().hex}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f'CREATE DATABASE "{name}"'))
    yield re.sub(r"(//[^/]*/)[^?]*", rf"\g<1>{name}", postgres_url)
    asyncio.run(execute(f'DROP DATABASE "{name}" WITH (FORCE)'))


def test_a_production_server_starts_as_it_is_told(
    address: str, directory: Path, empty_postgres: str, tmp_path: Path
) -> None:
    given = tomllib.loads(EXAMPLES["production settings"])
    issuer = Issuer.load(directory / "var" / "issuer")
    port = str(unused_port())
    config = EXAMPLES["production settings"]
    for placeholder, real in {
        given["database"]["url"]: empty_postgres,
        given["files"]["url"]: f"file:///{tmp_path}/files",
        given["oidc"]["issuer"]: issuer.url,
    }.items():
        config = config.replace(placeholder, real)
    (tmp_path / "jobbergate.toml").write_text(config)
    migrate, check, serve = EXAMPLES["production commands"].splitlines()

    assert "applications.0001_initial" in shell(migrate, tmp_path).splitlines()
    assert {line.partition(": ")[2] for line in shell(check, tmp_path).splitlines()} == {"ok"}
    with started(*serve.split()[1:], cwd=tmp_path, JOBBERGATE_SERVER__PORT=port) as process:
        served = f"http://127.0.0.1:{port}/jobbergate"
        wait_until_it_answers(process, served + "/health")
        status, body = fetched(served + "/ready")
        assert (status, json.loads(body)) == (200, json.loads(EXAMPLES["ready"]))
        permissions = ["jobbergate:job-scripts:view"]
        token = issuer.token(email="a@example.com", permissions=permissions, aud=given["oidc"]["audience"])
        assert fetched(served + "/job-scripts", token)[0] == HTTPStatus.OK
        token = issuer.token(email="a@example.com", permissions=permissions, aud="another")
        assert fetched(served + "/job-scripts", token)[0] == HTTPStatus.UNAUTHORIZED
    assert address in issuer.url


def wait_until_it_answers(process: subprocess.Popen[str], url: str) -> None:
    """Return as soon as ``url`` answers; fail when the process has ended instead."""
    while True:
        try:
            assert fetched(url) == (204, b"")
        except OSError:
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("the server has ended")
        return


def test_the_plugin_is_the_example_and_fits_on_one_screen() -> None:
    code = (ROOT / "examples/plugins/licences/src/acme_licences/__init__.py").read_text()
    assert EXAMPLES["plugin"] == code
    assert code.count("\n") <= SCREEN


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!\w+:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
