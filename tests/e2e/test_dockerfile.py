"""The Dockerfile, as far as it can be tried without an engine: what it copies, runs and asks."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from ports import unused_port

from jobbergate_devkit.testing import Served
from jobbergate_server.plugins.entry_points import command_entries
from jobbergate_server.settings import load_settings

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()


def arguments(instruction: str) -> list[str]:
    """What stands after each ``instruction``."""
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


COPIES = [copy.split()[:-1] for copy in arguments("COPY") if not copy.startswith("--from")]


@pytest.mark.parametrize("source", [source for copy in COPIES for source in copy])
def test_what_is_copied_is_there_and_reaches_the_engine(source: str) -> None:
    assert (ROOT / source).exists()
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert f"!{source}" in sent or f"!{source.partition('/')[0]}" in sent


def test_the_first_installation_sees_every_distribution() -> None:
    first = [line for line in LINES if line.startswith(("COPY", "RUN uv sync"))]
    copied = " ".join(first[: next(index for index, line in enumerate(first) if line.startswith("RUN"))]).split()
    distributions = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("plugins/*/pyproject.toml")]
    assert {"pyproject.toml", "uv.lock", "core/pyproject.toml", "devkit/pyproject.toml", *distributions} <= set(copied)


def test_the_image_contains_no_devkit() -> None:
    assert {source for copy in COPIES for source in copy if source.startswith("devkit")} == {"devkit/pyproject.toml"}
    syncs = [command for run in arguments("RUN") for command in re.split(" +&& ", run) if command.startswith("uv sync")]
    without = ("--only-group build", "--no-install-workspace", "--no-install-package jobbergate-devkit")
    assert [command for command in syncs if not any(option in command for option in without)] == []
    assert without[-1] in syncs[-1]


def test_nothing_is_installed_without_its_hash() -> None:
    installing = [
        command for run in arguments("RUN") for command in re.split(" +&& ", run) if not command.startswith("useradd")
    ]
    assert installing[0].startswith("pip install ")
    assert "--require-hashes" in installing[0].split()
    assert all(command.startswith("uv sync --locked ") for command in installing[1:])
    # In isolation, the newest versions of what builds a package would come in.
    assert "UV_NO_BUILD_ISOLATION=1" in " ".join(arguments("ENV")).split()
    assert "--only-group build" in installing[1]
    assert "build" not in installing[-1]


def test_it_serves_on_every_address_without_being_root(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, command), (user,) = json.loads(arguments("CMD")[-1]), arguments("USER")
    assert command in command_entries()
    assert user != "root"
    for name, value in re.findall(r"(JOBBERGATE_\w+)=(\S+)", " ".join(arguments("ENV"))):
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.server.host, str(settings.server.port)) == ("0.0.0.0", *arguments("EXPOSE"))  # noqa: S104 - in a container


async def healthcheck(port: int) -> int:
    """The exit status of the health check of a container with a server on ``port``."""
    (check,) = arguments("HEALTHCHECK")
    _, *command = json.loads(check.partition("CMD")[2])
    environment = os.environ | {"JOBBERGATE_SERVER__PORT": str(port), "http_proxy": "http://proxy.invalid"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def test_the_health_check_passes_with_a_server(served: Served) -> None:
    assert await healthcheck(served.server.port or 0) == 0


async def test_the_health_check_fails_without_one() -> None:
    assert await healthcheck(unused_port()) == 1
