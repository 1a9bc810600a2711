"""A production environment: the server and the bundled plugins from wheels, without the devkit."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest
from ports import unused_port
from processes import answers, get
from workshop import Workshop

from jobbergate_server.plugins.entry_points import command_entries

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import DevServer

DEVELOPMENT = {"dev", "makemigrations", "new-plugin", "token"}
"""The commands of the devkit."""


def test_production_serves_without_a_token_issuer(tmp_path: Path, dev_server: DevServer) -> None:
    # One test, because the environment takes longer than all that follows.
    production = Workshop(tmp_path, devkit=False)
    has_no_command_of_the_devkit(production)
    contains_no_issuer(production)
    serves(production, dev_server)


def has_no_command_of_the_devkit(production: Workshop) -> None:
    _, _, commands = production.shell("jobbergate-server --help").partition("Commands:\n")
    listed = set(re.findall(r"^  ([\w-]+)", commands, re.MULTILINE))
    assert listed == command_entries().keys() - DEVELOPMENT | {"audit-log", "webhooks"}
    for command in DEVELOPMENT:
        assert f"No such command '{command}'." in production.fails("jobbergate-server", command)


def contains_no_issuer(production: Workshop) -> None:
    assert "No module named 'jobbergate_devkit'" in production.fails("python", "-c", "import jobbergate_devkit")
    ours = [file for folder in production.packages.glob("jobbergate_*") for file in folder.rglob("*")]
    assert {file.name for file in ours} >= {"identity.py", "oidc.py", "tokens.py"}
    assert [file for file in ours if "issuer" in file.name or "devkit" in file.as_posix()] == []
    sources = {file: file.read_text() for file in ours if file.suffix == ".py"}
    assert [file for file, source in sources.items() if re.search(r"jwt\.encode|generate_key", source)] == []


def serves(production: Workshop, dev_server: DevServer) -> None:
    port, token = str(unused_port()), dev_server.printed("token").strip()
    variables = {"JOBBERGATE_OIDC__ISSUER": f"http://{dev_server.issuer}", "JOBBERGATE_SERVER__PORT": port}
    production.shell("jobbergate-server migrate", **variables)
    with production.running("serve", **variables) as process:
        url = f"http://127.0.0.1:{port}"
        while not answers(url):
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        status, body = get(f"{url}/jobbergate/job-submissions", token)
        assert (status, json.loads(body)["results"]) == (200, [])
        with pytest.raises(HTTPError, match="401"):
            get(f"{url}/jobbergate/job-submissions")
        with pytest.raises(HTTPError, match="404"):
            get(f"{url}/oidc/.well-known/openid-configuration")
    assert process.returncode == 0, production.log
