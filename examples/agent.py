"""A cluster's agent: starts with sbatch what people have submitted to Jobbergate, and reports what becomes of it."""

import argparse
import logging
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx

FAILED = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}
PROBLEMS = (OSError, ValueError, subprocess.SubprocessError)  # of one submission, from which no other has to suffer
log = logging.getLogger("agent")


class ClientCredentials(httpx.Auth):
    """Sends a token with each request, and gets a new one when the server does not accept the old one any more."""

    requires_response_body = True

    def __init__(self, issuer: str, client_id: str, secret: str) -> None:
        self.discovery = issuer.rstrip("/") + "/.well-known/openid-configuration"
        self.form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        self.token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield what httpx has to send: the request, and before it whatever gets a token."""
        for expired in (False, True):
            if expired or not self.token:
                found = yield httpx.Request("GET", self.discovery)
                answer = yield httpx.Request("POST", found.raise_for_status().json()["token_endpoint"], data=self.form)
                self.token = answer.raise_for_status().json()["access_token"]
            request.headers["Authorization"] = f"Bearer {self.token}"
            if (yield request).status_code != httpx.codes.UNAUTHORIZED:
                return


def work(client: httpx.Client, options: argparse.Namespace, jobs: dict[int, int]) -> None:
    """Start what is pending, and report what has ended; ``jobs`` are those whose start is not reported yet."""
    pending = {submission["id"]: submission for submission in client.get("pending").raise_for_status().json()}
    for number in jobs.keys() - pending.keys():
        del jobs[number]
    for number, submission in pending.items():
        try:
            jobs[number] = jobs.get(number) or start(submission, options)
            changes = {"new_status": "SUBMITTED", "slurm_job_id": jobs[number]}
        except PROBLEMS as problem:
            changes = {"new_status": "REJECTED", "report_message": str(problem)[:4000]}
        report(client, number, changes)
    for submission in client.get("active").raise_for_status().json():
        try:
            printed = run([*options.state_command, str(submission["slurm_job_id"])])
        except PROBLEMS as problem:
            printed = ""
            log.warning("submission %d: %s", submission["id"], problem)
        states = set(re.findall(r"^\w+", printed, re.MULTILINE))  # an array has several; `CANCELLED by 1000`
        if states and states <= {"COMPLETED", *FAILED}:
            why = ", ".join(sorted(states & FAILED))
            report(client, submission["id"], {"new_status": "FAILED" if why else "COMPLETED", "report_message": why})


def report(client: httpx.Client, number: int, changes: Mapping[str, object]) -> None:
    """Tell the server. What it refuses is not this cluster's business any more, such as a deleted submission."""
    answer = client.put(str(number), json=changes)
    log.info("submission %d: %s: answered %d", number, changes, answer.status_code)


def start(submission: dict[str, Any], options: argparse.Namespace) -> int:
    """Write the files of a submission, hand the main one to sbatch, and return the id that it prints (`4711;here`)."""
    directory = (options.directory / (submission["execution_directory"] or str(submission["id"]))).resolve()
    for name, text in submission["job_script_files"]["files"].items():
        file = directory / name  # inside of it: the server keeps no other names
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return int(run([*options.sbatch, submission["job_script_files"]["main_file_path"]], directory).partition(";")[0])


def run(command: list[str], cwd: Path | None = None) -> str:
    """What the command prints; a `ValueError` has what it complains of."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True, errors="replace", timeout=60)
    if done.returncode:
        raise ValueError(done.stderr.replace("\0", "").strip() or f"exit status {done.returncode}")
    return done.stdout


def main() -> None:
    """Read the options, and work until somebody ends it."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="where Jobbergate is")
    parser.add_argument("--issuer", default="http://127.0.0.1:8000/oidc", help="who gives tokens")
    parser.add_argument("--client-id", default="local-cluster", help="the cluster; $CLIENT_SECRET is its secret")
    parser.add_argument("--directory", type=Path, default="jobs", help="of jobs without an execution directory")
    parser.add_argument("--sbatch", type=shlex.split, default="sbatch --parsable", help="takes a file, prints an id")
    parser.add_argument("--state-command", type=shlex.split, default="sacct -nPX -o State -j", help="takes that id")
    parser.add_argument("--interval", type=float, default=5, help="seconds between two looks")
    options = parser.parse_args()
    if not shutil.which(options.sbatch[0]):
        parser.error(f"there is no {options.sbatch[0]}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    auth = ClientCredentials(options.issuer, options.client_id, os.environ.get("CLIENT_SECRET", ""))
    jobs: dict[int, int] = {}
    with httpx.Client(base_url=f"{options.server}/jobbergate/job-submissions/agent/", auth=auth, timeout=30) as client:
        while True:
            try:
                work(client, options, jobs)
            except (httpx.HTTPError, ValueError) as problem:  # the server is away, or something else answers
                log.warning("next try in %g seconds: %s", options.interval, problem)
            time.sleep(options.interval)


if __name__ == "__main__":
    main()
