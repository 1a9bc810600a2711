"""The command line of 3.x, as it was published: it works against this server, and cannot tell it from the one of then.

It is installed into an environment of its own, as it needs packages of its time.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from jobbergate_devkit.issuer import Issuer

if TYPE_CHECKING:
    from e2e.conftest import DevServer

REQUIREMENTS = ("jobbergate-cli==3.6.0", "click<8.2")
OVERRIDES = "pyyaml>=6.0.1\n"  # the one that it asks for cannot be built any more
NOT_ITS_FAULT = ("Failed to fetch", "error sending request", "network was disabled", "Failed to build")
"""What uv says when the index cannot be reached, or when a package of then knows nothing of this Python."""

EMAIL = "Someone@example.com"
CLIENT_ID = "cli"
CLUSTER = "local-cluster"

APPLICATION = {
    "jobbergate.py": """
from jobbergate_cli.subapps.applications.application_base import JobbergateApplicationBase
from jobbergate_cli.subapps.applications.questions import Integer, Text


class JobbergateApplication(JobbergateApplicationBase):
    def mainflow(self, data):
        data["nextworkflow"] = "mesh"
        return [
            Text("case", message="Which case?", default="cavity"),
            Integer("tasks", message="How many tasks?", default=4, minval=1),
        ]

    def mesh(self, data):
        return [Integer("cells", message="How many cells?", default=100)]
""",
    "jobbergate.yaml": """
application_config:
  partition: compute
jobbergate_config:
  default_template: run.sh.j2
  output_directory: flow
  supporting_files_output_name:
    mesh.txt.j2: [mesh.txt]
""",
    "templates/run.sh.j2": """#!/bin/bash
#SBATCH --job-name={{ data.case }}
#SBATCH --ntasks={{ data.tasks }}
#SBATCH --partition={{ data.partition }}
solve {{ data.case }}
""",
    "templates/mesh.txt.j2": "{{ data.case }}: {{ data.cells }} cells\n",
}
RENDERED = {
    "flow/run.sh": """#!/bin/bash
#SBATCH --job-name=cavity
#SBATCH --ntasks=4
#SBATCH --partition=compute
solve cavity""",
    "flow/mesh.txt": "cavity: 100 cells",
}


@pytest.fixture(scope="session")
def jobbergate(shared_directory: Path) -> Path:
    """The command `jobbergate`, installed once for all processes of this test run."""
    home = shared_directory / "jobbergate-cli"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = home / "outcome"  # what hindered the installation, or nothing
        if not outcome.exists():
            outcome.write_text(install(home))
    if hindrance := outcome.read_text():
        pytest.skip(f"{REQUIREMENTS[0]} cannot be installed: {hindrance}")
    return home / "environment" / "bin" / "jobbergate"


def install(home: Path) -> str:
    """Make the environment; why that cannot be done here, or nothing."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        return "there is no uv"
    (home / "overrides.txt").write_text(OVERRIDES)
    # Each command is a process; where Python may write no bytecode, it would compile all of this every time.
    packages = ["--compile-bytecode", "--override", "overrides.txt", *REQUIREMENTS]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, "environment"],
        [uv, "pip", "install", "--quiet", "--python", "environment/bin/python", *packages],
    ):
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)  # noqa: S603 - see above
        if any(words in done.stderr for words in NOT_ITS_FAULT):
            return done.stderr
        assert done.returncode == 0, done.stderr
    return ""


class User:
    """A person at a terminal: the command, a directory to work in, and a cache that remembers who has logged in."""

    def __init__(self, command: Path, server: DevServer, directory: Path) -> None:
        self.command = command
        self.directory = directory
        self.cache = directory / "cache"
        self.environment = server.environment(
            ARMADA_API_BASE=f"http://{server.address}",
            OIDC_DOMAIN=server.issuer,
            OIDC_USE_HTTPS="false",
            OIDC_CLIENT_ID=CLIENT_ID,
            OIDC_AUDIENCE="https://apis.example.com",
            OIDC_MAX_POLL_TIME="60",
            JOBBERGATE_CACHE_DIR=str(self.cache),
            COLUMNS="200",
            PYTHONUNBUFFERED="1",
        )

    def run(self, line: str, *, cwd: str = ".", fails: bool = False, **variables: str) -> str:
        """What `jobbergate` prints, given the arguments in ``line``; it must succeed, or fail, as is said."""
        (self.directory / cwd).mkdir(exist_ok=True)
        done = subprocess.run(  # noqa: S603 - the command under test
            [self.command, *line.split()],
            cwd=self.directory / cwd,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == fails, done.stdout
        return done.stdout

    def ask(self, line: str, *, cwd: str = ".", **variables: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """The JSON that is printed when it is asked for; above it there may be what the person is shown besides."""
        printed = self.run(f"--raw {line}", cwd=cwd, fails=False, **variables)
        found = re.search(r"^[\[{].*", printed, re.DOTALL | re.MULTILINE)
        assert found, printed
        return json.loads(found[0])

    def log_in(self, email: str) -> str:
        """Log in as somebody: follow the link that is printed, and press the button there. What is printed."""
        with subprocess.Popen(  # noqa: S603 - the command under test
            [self.command, "login"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if link := re.search(r"http://\S+\?user_code=(\S+)", line):
                    approve(link[0], link[1], email)
        assert process.returncode == 0, printed
        return printed

    def write(self, files: dict[str, str], directory: str) -> None:
        """Write files below a directory."""
        for name, text in files.items():
            path = self.directory / directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def read(self, directory: str) -> dict[str, str]:
        """The files below a directory."""
        root = self.directory / directory
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def approve(link: str, user_code: str, email: str) -> None:
    """Do what a browser does with the link, and a person with the form on its page."""
    with httpx.Client(trust_env=False, timeout=60) as browser:
        assert user_code in browser.get(link).raise_for_status().text
        action = link.partition("?")[0]
        browser.post(action, data={"user_code": user_code, "email": email}).raise_for_status()


@pytest.fixture(scope="module")
def logged_in(jobbergate: Path, dev_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Someone@example.com, logged in by device flow."""
    user = User(jobbergate, dev_server, tmp_path_factory.mktemp("user"))
    assert f"User was logged in with email '{EMAIL}'" in user.log_in(EMAIL)
    return user


@pytest.fixture
def user(logged_in: User, dev_server: DevServer, tmp_path: Path) -> User:
    """The same person in a directory of the test's own, with the application's files in `app`."""
    user = User(logged_in.command, dev_server, tmp_path)
    shutil.copytree(logged_in.cache, user.cache)
    user.write(APPLICATION, "app")
    return user


def ids(rows: list[dict[str, Any]]) -> set[int]:
    return {row["id"] for row in rows}


def test_a_person_is_who_has_approved_until_they_log_out(user: User) -> None:
    claims = user.ask("show-token --decode")
    assert (claims["email"], claims["azp"], "aud" in claims) == (EMAIL, CLIENT_ID, False)
    assert user.ask("show-token --refresh --decode")["email"] == EMAIL
    user.run("logout")
    assert "You need to login" in user.run("applications list", fails=True)


def test_a_token_that_has_expired_is_renewed_unseen(user: User, dev_server: DevServer) -> None:
    access, refresh = user.cache / "token" / "access.token", user.cache / "token" / "refresh.token"
    issuer = Issuer.load(dev_server.directory / "var" / "issuer")
    expired = issuer.token(email=EMAIL, client_id=CLIENT_ID, lifetime=-3600)
    access.write_text(expired)
    kept = refresh.read_text()
    assert user.ask("applications list")
    claims = issuer.verified(access.read_text())
    assert claims is not None
    assert (claims["email"], claims["azp"], refresh.read_text()) == (EMAIL, CLIENT_ID, kept)

    access.write_text(expired)
    refresh.write_text(issuer.token(email=EMAIL, client_id=CLIENT_ID))
    assert "The auth token could not be refreshed" in user.run("applications list", fails=True)


def test_applications_from_creation_to_deletion(user: User) -> None:
    created = user.ask("applications create --name Flow --identifier flow --application-path app --application-desc x")
    expected = {
        "id": created["id"],
        "application_name": "Flow",
        "application_identifier": "flow",
        "application_description": "x",
        "application_owner_email": EMAIL,
        "application_uploaded": True,
        "is_archived": False,
    }
    assert created.items() >= expected.items()
    number = created["id"]
    got = user.ask("applications get-one --identifier flow")
    assert got.items() >= expected.items()
    assert (got["application_source_file"], got["application_config"], got["application_templates"]) == (
        APPLICATION["jobbergate.py"],
        APPLICATION["jobbergate.yaml"],
        {name: APPLICATION[f"templates/{name}"] for name in ("mesh.txt.j2", "run.sh.j2")},
    )

    user.write({"templates/run.sh.j2": "#!/bin/bash\n"}, "app")
    changed = "--identifier flow-2 --application-desc y --application-path app"
    updated = user.ask(f"applications update --id {number} {changed}")
    assert (updated["application_identifier"], updated["application_description"]) == ("flow-2", "y")
    assert user.ask(f"applications get-one --id {number}")["application_templates"]["run.sh.j2"] == "#!/bin/bash\n"

    user.run(f"applications archive --id {number}")
    assert number not in ids(user.ask("applications list --all"))
    options = "--user --include-archived --search FLOW-2 --sort-field application_name --sort-order DESCENDING"
    assert ids(user.ask(f"applications list {options}")) == {number}
    user.run(f"applications restore --id {number}")
    assert "flow-2" in user.run("applications list")

    user.run("applications download-files --identifier flow-2", cwd="work")
    assert user.read("work") == APPLICATION | {"templates/run.sh.j2": "#!/bin/bash\n"}
    user.run(f"applications delete --id {number} --confirm")
    assert "Couldn't retrieve application" in user.run(f"applications get-one --id {number}", fails=True)


def test_job_scripts_from_creation_to_deletion(user: User) -> None:
    application = user.ask("applications create --name Scripts --identifier scripts --application-path app")["id"]
    params = "--sbatch-params=--time=10 --sbatch-params=--mem=1G"
    fast = user.ask(f"job-scripts create --name fast --application-id {application} --fast --no-submit {params}")
    shebang, first, *rest = RENDERED["flow/run.sh"].splitlines()
    main = "\n".join([shebang, first, "#SBATCH --time=10", "#SBATCH --mem=1G", *rest])
    assert (fast["job_script_name"], fast["job_script_owner_email"]) == ("fast", EMAIL)
    assert fast["application_id"] == application
    files = {"main_file_path": "flow/run.sh", "files": {**RENDERED, "flow/run.sh": main}}
    assert fast["job_script_files"] == files
    number = fast["id"]
    assert user.ask(f"job-scripts get-one --id {number}") == fast

    user.write({"params.json": json.dumps({"case": "pipe", "tasks": 8, "cells": 7})}, ".")
    options = "--application-identifier scripts --param-file params.json --no-submit --description d"
    from_file = user.ask(f"job-scripts create {options}")
    assert (from_file["job_script_name"], from_file["job_script_description"]) == ("Scripts", "d")
    assert from_file["job_script_files"]["files"]["flow/mesh.txt"] == "pipe: 7 cells"
    assert "#SBATCH --ntasks=8\n" in from_file["job_script_files"]["files"]["flow/run.sh"]

    listed = user.ask(f"job-scripts list --from-application-id {application} --sort-field id --sort-order ASCENDING")
    # With any order it asks for the descending one, which is a mistake of its own.
    assert [row["id"] for row in listed] == [from_file["id"], number]
    assert {row["application_name"] for row in listed} == {"Scripts"}
    updated = user.ask(f"job-scripts update --id {number} --name renamed --description e")
    assert (updated["job_script_name"], updated["job_script_description"]) == ("renamed", "e")
    user.run(f"job-scripts archive --id {number}")
    assert number not in ids(user.ask("job-scripts list --all"))
    assert number in ids(user.ask("job-scripts list --include-archived --search RENAMED"))
    user.run(f"job-scripts restore --id {number}")
    assert "renamed" in user.run("job-scripts list")

    assert main in user.run(f"job-scripts show-files --id {number} --plain")
    user.run(f"job-scripts download-files --id {number}", cwd="work")
    assert user.read("work") == files["files"]
    user.run(f"job-scripts delete --id {number} --confirm")
    assert "Couldn't retrieve job script" in user.run(f"job-scripts get-one --id {number}", fails=True)


def test_job_submissions_from_creation_to_deletion(user: User) -> None:
    user.run("applications create --name Jobs --identifier jobs --application-path app")
    user.run("job-scripts create --name jobs --application-identifier jobs --fast", DEFAULT_CLUSTER_NAME=CLUSTER)
    (at_once,) = user.ask("job-submissions list --search jobs")
    script = at_once["job_script_id"]
    assert (at_once["client_id"], at_once["status"], at_once["job_script_name"]) == (CLUSTER, "CREATED", "jobs")

    user.write({"parameters.json": json.dumps({"comment": "sent", "tasks": 2})}, ".")
    options = "--execution-directory car --execution-parameters ../parameters.json --description d --download"
    create = f"job-submissions create --name car --job-script-id {script} --cluster-name other {options}"
    created = user.ask(create, cwd="work", DEFAULT_CLUSTER_NAME=CLUSTER)
    expected = {
        "job_script_id": script,
        "cluster_name": "other",
        "slurm_job_id": None,
        "execution_directory": str(user.directory / "work" / "car"),
        "job_submission_name": "car",
        "job_submission_description": "d",
        "job_submission_owner_email": EMAIL,
        "status": "CREATED",
        "report_message": None,
    }
    assert created.items() >= expected.items()
    stored = {name: value for name, value in created["execution_parameters"].items() if value is not None}
    sent = {"comment": "sent", "tasks": 2}
    assert stored == {"name": "cavity", "partition": "compute", "get_user_environment": 1, **sent}
    assert user.read("work") == RENDERED
    number = created["id"]
    assert user.ask(f"job-submissions get-one --id {number}") == created
    options = f"--all --search CAR --from-job-script-id {script} --sort-field status --sort-order DESCENDING"
    assert ids(user.ask(f"job-submissions list {options}")) == {number}
    assert "car" in user.run("job-submissions list")
    user.run(f"job-submissions delete --id {number} --confirm")
    assert ids(user.ask(f"job-submissions list --from-job-script-id {script}")) == {at_once["id"]}

    # What a submission was made from may go; the submission stays.
    user.run(f"job-scripts delete --id {script} --confirm")
    assert user.ask(f"job-submissions get-one --id {at_once['id']}")["job_script_id"] is None


def test_what_belongs_to_somebody_else_is_told_apart_from_a_failure(user: User) -> None:
    (sample,) = user.ask("applications list --search hello-cluster")
    told = user.run(f"applications delete --id {sample['id']} --confirm", fails=True)
    assert "You do not own this resource." in told


def test_a_command_of_even_earlier_times_works(user: User) -> None:
    assert "hello-cluster" in user.run("list-applications", JOBBERGATE_COMPATIBILITY_MODE="true")
