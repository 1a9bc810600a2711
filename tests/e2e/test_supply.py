"""What the server is made of: locked with hashes, listed, and looked up where somebody knows of vulnerabilities."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import sys
import tomllib
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pages import ROOT
from ports import unused_port
from processes import environment, succeeds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAKEFILE = (ROOT / "Makefile").read_text()
AUDIT = ROOT / ".ci/audit.py"
LOCKED = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
FOREIGN = {package["name"]: package for package in LOCKED if "registry" in package["source"]}
OWN = {package["name"] for package in LOCKED} - FOREIGN.keys()
PRODUCTION = OWN - {"jobbergate-devkit", "jobbergate-server-workspace"}
UV = str(Path(sys.executable).with_name("uv"))


def artifacts(package: dict[str, Any]) -> list[dict[str, str]]:
    return [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]


def recipe(target: str) -> list[str]:
    """The last command of the target of the Makefile, without what only make knows."""
    (shipped,) = (line for line in MAKEFILE.splitlines() if line.startswith("SHIPPED = "))
    lines = MAKEFILE.partition(f"\n{target}: ")[2].partition("\n\n")[0].splitlines()
    (command,) = (line.strip() for line in lines if "$(SHIPPED)" in line)
    words = command.replace("$(SHIPPED)", shipped.partition(" = ")[2]).split()
    return [word.replace("$(BIN)", str(Path(sys.executable).parent)) for word in words]


def shipped(tmp_path: Path) -> set[str]:
    """The names of what `make lint` audits."""
    file = tmp_path / "requirements.txt"
    succeeds(ROOT, *recipe("lint")[:-1], str(file))
    return {line.partition("==")[0] for line in file.read_text().splitlines()}


def exported(tmp_path: Path, *options: str) -> set[str]:
    """The names of the third-party packages that `uv sync` would install with these options."""
    file = tmp_path / "exported.txt"
    plain = ("--no-emit-workspace", "--no-hashes", "--no-annotate", "--no-header")
    succeeds(ROOT, UV, "export", "--quiet", "--locked", *plain, *options, "--output-file", str(file))
    return {line.partition("==")[0] for line in file.read_text().splitlines()}


def test_make_run_installs_what_serving_needs_and_no_tools(tmp_path: Path) -> None:
    assert exported(tmp_path, "--no-default-groups", "--group", "run") == shipped(tmp_path)


def test_production_needs_nothing_that_only_the_devkit_requires(tmp_path: Path) -> None:
    packages = [option for name in sorted(PRODUCTION) for option in ("--package", name)]
    assert exported(tmp_path, "--no-dev", *packages) == shipped(tmp_path)


@pytest.mark.parametrize(("target", "group"), re.findall(r"^(\w+): \$\(INSTALLED\)-(\w+) ", MAKEFILE, re.MULTILINE))
def test_every_target_installs_a_group(target: str, group: str) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert group in groups
    assert group == target or target not in groups


@pytest.mark.parametrize("name", FOREIGN)
def test_everything_is_locked_with_its_hash(name: str) -> None:
    found = artifacts(FOREIGN[name])
    assert found
    assert all(artifact["hash"].startswith("sha256:") for artifact in found)


def test_uv_itself_is_installed_with_the_hashes_of_the_lock() -> None:
    lines = (ROOT / "requirements-uv.txt").read_text().replace("\\\n", "").splitlines()
    (requirement,) = (line.split() for line in lines if not line.startswith("#"))
    hashes = {f"--hash={artifact['hash']}" for artifact in artifacts(FOREIGN["uv"])}
    command = next(line for line in lines if "uv export" in line).lstrip("# ")
    assert (requirement[0], set(requirement[1:])) == (f"uv=={FOREIGN['uv']['version']}", hashes), f"run `{command}`"


def test_the_bill_of_materials_lists_what_is_shipped_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "sbom.cdx.json"
    command = recipe("sbom")
    assert command[-1] == file.name
    succeeds(ROOT, *command[:-1], str(file))
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    components = {component["name"]: component for component in bill["components"]}
    assert components.keys() == shipped(tmp_path) | PRODUCTION
    assert {"aiohttp", "jobbergate-server", "jobbergate-webhooks", "prometheus-client"} <= components.keys()
    assert components.keys().isdisjoint({"pytest", "ruff", "uv", "hatchling", "fastapi", "jobbergate-devkit"})
    assert all(components[name]["version"] == FOREIGN[name]["version"] for name in components.keys() - OWN)
    assert f"/{file.name}" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.fixture
async def known() -> AsyncIterator[tuple[str, dict[str, object]]]:
    """The URL of a service that knows of vulnerabilities, and what it answers, by the name of a package."""
    answers: dict[str, object] = {}

    async def query(request: web.Request) -> web.Response:
        return web.json_response(answers.get((await request.json())["package"]["name"], {}))

    app = web.Application()
    app.router.add_post("/v1/query", query)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1/query")), answers


async def audited(tmp_path: Path, url: str) -> tuple[int, str]:
    """The exit status and the words of an audit of two packages, which asks the service at ``url``."""
    file = tmp_path / "requirements.txt"
    file.write_text("aiohttp==3.14.5\nclick==8.5.1 ; sys_platform != 'plan9'\n")
    variables = environment(PIP_AUDIT_VULNERABILITY_SERVICE="osv", PIP_AUDIT_OSV_URL=url)
    command = [sys.executable, str(AUDIT), str(file)]
    process = await asyncio.create_subprocess_exec(*command, env=variables, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert err == b""
    return process.returncode or 0, out.decode()


async def test_an_audit_that_finds_nothing_passes(tmp_path: Path, known: tuple[str, dict[str, object]]) -> None:
    assert await audited(tmp_path, known[0]) == (0, "None of the 2 dependencies has a known vulnerability.\n")


async def test_an_audit_that_finds_something_fails_and_names_it(
    tmp_path: Path, known: tuple[str, dict[str, object]]
) -> None:
    url, answers = known
    package = {"name": "click", "ecosystem": "PyPI"}
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "8.5.2"}]}
    answers["click"] = {
        "vulns": [
            {"id": "GHSA-1", "affected": [{"package": package, "ranges": [fixed]}]},
            {"id": "GHSA-2", "affected": [{"package": package}]},
        ]
    }
    assert await audited(tmp_path, url) == (
        1,
        "click 8.5.1: GHSA-1, fixed in 8.5.2\nclick 8.5.1: GHSA-2, fixed in none\n",
    )


@pytest.mark.parametrize("path", ["/v1/query", "/"])
async def test_an_audit_is_left_out_where_nobody_answers(tmp_path: Path, path: str) -> None:
    """Where nobody listens, and where somebody does who knows of no vulnerabilities."""
    async with TestServer(web.Application()) as server:
        url = str(server.make_url(path)) if path == "/" else f"http://127.0.0.1:{unused_port()}{path}"
        assert await audited(tmp_path, url) == (
            0,
            "The dependencies are not audited: the vulnerability service of pip-audit does not respond.\n",
        )


def test_a_package_that_alone_is_not_known_is_named() -> None:
    problems = runpy.run_path(str(AUDIT))["problems"]
    assert problems({"name": "click", "skip_reason": "Dependency not found"}) == ["click: Dependency not found"]
