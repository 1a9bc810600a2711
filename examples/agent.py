"""A cluster agent: it submits pending job submissions with sbatch, and reports their status to Jobbergate."""

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
PROBLEMS = (
    OSError,
    ValueError,
    subprocess.SubprocessError,
)  # errors of one submission, which must not stop the remaining ones
log = logging.getLogger("agent")


class ClientCredentials(httpx.Auth):
    """Authentication with a token, which it renews when the server rejects it."""

    requires_response_body = True

    def __init__(self, issuer: str, client_id: str, secret: str) -> None:
        self.discovery = issuer.rstrip("/") + "/.well-known/openid-configuration"
        self.form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        self.token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the requests to send: those that fetch a token if necessary, and the request itself."""
        for expired in (False, True):
            if expired or not self.token:
                found = yield httpx.Request("GET", self.discovery)
                response = yield httpx.Request(
                    "POST", found.raise_for_status().json()["token_endpoint"], data=self.form
                )
                self.token = response.raise_for_status().json()["access_token"]
            request.headers["Authorization"] = f"Bearer {self.token}"
            if (yield request).status_code != httpx.codes.UNAUTHORIZED:
                return


def work(client: httpx.Client, options: argparse.Namespace, jobs: dict[int, int]) -> None:
    """Submit pending submissions, and report finished jobs. ``jobs`` contains the jobs that are not reported yet."""
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
    """Report to the server, and log the status of the response. Do not retry a rejected report, such as 404."""
    response = client.put(str(number), json=changes)
    log.info("submission %d: %s: response %d", number, changes, response.status_code)


def start(submission: dict[str, Any], options: argparse.Namespace) -> int:
    """Write the files of a submission, submit the main file, and return the id that sbatch prints (`4711;here`)."""
    directory = (options.directory / (submission["execution_directory"] or str(submission["id"]))).resolve()
    for name, text in submission["job_script_files"]["files"].items():
        file = directory / name  # inside the directory: the server rejects other names
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return int(run([*options.sbatch, submission["job_script_files"]["main_file_path"]], directory).partition(";")[0])


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run the command, and return its output.

    Raises:
        ValueError: The command failed; the message is its error output.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True, errors="replace", timeout=60)
    if done.returncode:
        raise ValueError(done.stderr.replace("\0", "").strip() or f"exit status {done.returncode}")
    return done.stdout


def main() -> None:
    """Parse the options, and work until a signal ends the process."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="URL of the server")
    parser.add_argument("--issuer", default="http://127.0.0.1:8000/oidc", help="URL of the OIDC issuer")
    parser.add_argument(
        "--client-id", default="local-cluster", help="client ID of the cluster; its secret is in $CLIENT_SECRET"
    )
    parser.add_argument(
        "--directory", type=Path, default="jobs", help="directory for jobs without an execution directory"
    )
    parser.add_argument(
        "--sbatch",
        type=shlex.split,
        default="sbatch --parsable",
        help="command that submits a file and prints the job id",
    )
    parser.add_argument(
        "--state-command",
        type=shlex.split,
        default="sacct -nPX -o State -j",
        help="command that prints the states of a job id",
    )
    parser.add_argument("--interval", type=float, default=5, help="seconds between two polls")
    options = parser.parse_args()
    if not shutil.which(options.sbatch[0]):
        parser.error(f"--sbatch: command not found: {options.sbatch[0]}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    auth = ClientCredentials(options.issuer, options.client_id, os.environ.get("CLIENT_SECRET", ""))
    jobs: dict[int, int] = {}
    with httpx.Client(base_url=f"{options.server}/jobbergate/job-submissions/agent/", auth=auth, timeout=30) as client:
        while True:
            try:
                work(client, options, jobs)
            except (httpx.HTTPError, ValueError) as problem:  # the server is unavailable, or the response is not JSON
                log.warning("retrying in %g seconds: %s", options.interval, problem)
            time.sleep(options.interval)


if __name__ == "__main__":
    main()
