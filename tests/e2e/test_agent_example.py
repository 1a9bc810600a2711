"""The agent of examples/agent.py between a real server and stand-ins for sbatch and sacct."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from e2e.conftest import DevServer

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "examples" / "agent.py"
HOWTO = (ROOT / "docs" / "howto" / "agents.md").read_text()
PATIENCE = 60

SBATCH = """#!/bin/sh
# Runs a job at once, unless it may not run or has to wait; each job's state stands in a file of its name.
test "$1" = --parsable && main=$2 && cluster=$(dirname "$0")
while grep -q 'wait for it' "$main" && [ ! -e "$cluster/go" ]; do sleep 0.05; done
if grep -q 'no-such-partition' "$main"; then
    echo 'sbatch: error: invalid partition specified: no-such-partition' >&2
    exit 1
fi
echo "$main" >> "$cluster/calls"
id=$((4710 + $(wc -l < "$cluster/calls")))
echo COMPLETED > "$cluster/$id.state"
sh "$main" > output.txt || echo OUT_OF_MEMORY >> "$cluster/$id.state"
echo "$id;cluster"
"""
SACCT = """#!/bin/sh
# Every job runs until the test lets all of them end.
if [ -e "$(dirname "$0")/ended" ]; then cat "$(dirname "$0")/$1.state"; else echo RUNNING; fi
"""


class Cluster:
    """A directory with the stand-ins, and the agents that run there."""

    def __init__(self, directory: Path, server: DevServer) -> None:
        self.directory = directory
        self.server = server
        self.client_id = directory.name
        for name, text in (("sbatch", SBATCH), ("sacct", SACCT)):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    @property
    def log(self) -> str:
        """What agents have written."""
        return (self.directory / "agent.log").read_text()

    @property
    def calls(self) -> list[str]:
        """The files for which sbatch has made jobs."""
        return (self.directory / "calls").read_text().split()

    @contextmanager
    def agent(self, *options: str) -> Iterator[None]:
        """Run an agent, which must go on until it is ended."""
        addresses = ["--server", f"http://{self.server.address}", "--issuer", f"http://{self.server.issuer}"]
        commands = ["--sbatch", f"{self.directory}/sbatch --parsable", "--state-command", f"{self.directory}/sacct"]
        with (self.directory / "agent.log").open("a") as log:
            process = subprocess.Popen(  # noqa: S603 - the example
                [
                    sys.executable,
                    AGENT,
                    *addresses,
                    "--client-id",
                    self.client_id,
                    *commands,
                    "--interval=0.1",
                    *options,
                ],
                cwd=self.directory,
                env=self.server.environment(),
                stderr=log,
            )
        try:
            yield
            assert process.poll() is None, self.log
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)

    def submit(
        self, owner: httpx.Client, files: dict[str, str], directory: Path | str | None = None, main: str = "main.sh"
    ) -> int:
        """Submit a job script with these files to this cluster; the id of the submission."""
        script = owner.post("/job-scripts", json={"job_script_name": "script"}).raise_for_status().json()
        path = f"/job-scripts/{script['id']}"
        owner.post(f"{path}/upload", files={"job_script_file": (main, files[main])}).raise_for_status()
        owner.put(path, json={"job_script_files": {"main_file_path": main, "files": files}}).raise_for_status()
        body = {"job_submission_name": "job", "job_script_id": script["id"], "client_id": self.client_id}
        if directory is not None:
            body["execution_directory"] = str(directory)
        return int(owner.post("/job-submissions", json=body).raise_for_status().json()["id"])


@pytest.fixture
def cluster(tmp_path: Path, dev_server: DevServer) -> Cluster:
    return Cluster(tmp_path, dev_server)


@pytest.fixture
def owner(dev_server: DevServer) -> Iterator[httpx.Client]:
    """Somebody who submits."""
    with dev_server.client_of("owner@example.com") as client:
        yield client


def state(owner: httpx.Client, number: int) -> tuple[str, int | None, str | None]:
    """Status, job id and report message of a submission."""
    row = owner.get(f"/job-submissions/{number}").raise_for_status().json()
    return row["status"], row["slurm_job_id"], row["report_message"]


def wait_for(condition: Callable[[], object], cluster: Cluster) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, cluster.log
        time.sleep(0.05)


def test_jobs_are_started_where_they_belong_and_reported_to_their_end(
    cluster: Cluster, owner: httpx.Client, tmp_path: Path
) -> None:
    texts = {"run/main.sh": "#!/bin/sh\r\ncat data/ümlaut.txt\n", "data/ümlaut.txt": "grüße\r\n"}
    good = cluster.submit(owner, texts, tmp_path / "work" / "car", main="run/main.sh")
    without_directory = cluster.submit(owner, {"main.sh": "#!/bin/sh\n"})
    failing = cluster.submit(owner, {"main.sh": "#!/bin/sh\nexit 3\n"}, "failing")
    refused = cluster.submit(owner, {"main.sh": "#!/bin/sh\n#SBATCH --partition=no-such-partition\n"})
    (tmp_path / "file").touch()
    nowhere = cluster.submit(owner, {"main.sh": "#!/bin/sh\n"}, tmp_path / "file")
    last = cluster.submit(owner, {"main.sh": "#!/bin/sh\n"})
    with cluster.agent("--directory", "default"):
        wait_for(lambda: state(owner, last)[0] != "CREATED", cluster)
        assert state(owner, good) == ("SUBMITTED", 4711, None)
        assert state(owner, without_directory) == ("SUBMITTED", 4712, None)
        assert state(owner, failing) == ("SUBMITTED", 4713, None)
        message = "sbatch: error: invalid partition specified: no-such-partition"
        assert state(owner, refused) == ("REJECTED", None, message)
        status, _, reason = state(owner, nowhere)
        assert (status, str(tmp_path / "file") in str(reason)) == ("REJECTED", True)
        assert state(owner, last) == ("SUBMITTED", 4714, None)

        work = tmp_path / "work" / "car"
        assert {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()} == {
            **{name: text.encode() for name, text in texts.items()},
            "output.txt": "grüße\r\n".encode(),
        }
        assert (tmp_path / "default" / str(without_directory) / "main.sh").exists()
        assert (tmp_path / "default" / "failing" / "main.sh").exists()

        (tmp_path / "ended").touch()
        started = (good, without_directory, failing, last)
        wait_for(lambda: all(state(owner, it)[0] != "SUBMITTED" for it in started), cluster)
        assert state(owner, good) == ("COMPLETED", 4711, None)
        assert state(owner, without_directory) == ("COMPLETED", 4712, None)
        assert state(owner, failing) == ("FAILED", 4713, "OUT_OF_MEMORY")
        assert state(owner, last) == ("COMPLETED", 4714, None)
    assert cluster.calls == ["run/main.sh", "main.sh", "main.sh", "main.sh"]


def test_a_server_that_was_away_and_knows_no_token_any_more_is_told_of_a_job_that_is_started_once(
    cluster: Cluster, owner: httpx.Client, tmp_path: Path
) -> None:
    server = cluster.server
    number = cluster.submit(owner, {"main.sh": "#!/bin/sh\n# wait for it\n"}, tmp_path / "work")
    with cluster.agent():
        wait_for((tmp_path / "work" / "main.sh").exists, cluster)
        server.stop()
        (server.directory / "var" / "issuer" / "private.pem").unlink()  # so that it makes another key
        (tmp_path / "go").touch()
        wait_for(lambda: cluster.log.count("retrying in") > 1, cluster)
        server.start()
        with server.client_of("owner@example.com") as owner_again:
            wait_for(lambda: state(owner_again, number)[0] != "CREATED", cluster)
            assert state(owner_again, number) == ("SUBMITTED", 4711, None)
            (tmp_path / "ended").touch()
            wait_for(lambda: state(owner_again, number)[0] != "SUBMITTED", cluster)
            assert state(owner_again, number) == ("COMPLETED", 4711, None)
    assert cluster.calls == ["main.sh"]


def test_the_stand_in_of_the_howto_completes_a_job(cluster: Cluster, owner: httpx.Client, tmp_path: Path) -> None:
    blocks = re.findall(r"^```shell\n(.*?)^```$", HOWTO, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "sbatch" in block]
    *preparation, command = block.splitlines()
    subprocess.run(["sh", "-euc", "\n".join(preparation)], cwd=tmp_path, check=True)  # noqa: S603, S607 - the document's
    assert command.startswith('.venv/bin/python examples/agent.py --sbatch "$PWD/sbatch" --state-command ')
    number = cluster.submit(owner, {"main.sh": "#!/bin/sh\necho hello\n"}, tmp_path / "work")
    with cluster.agent("--sbatch", str(tmp_path / "sbatch"), "--state-command", "echo COMPLETED"):
        wait_for(lambda: state(owner, number)[0] == "COMPLETED", cluster)
    assert command.endswith(' "echo COMPLETED"')
    assert (tmp_path / "work" / "main.sh.out").read_text() == "hello\n"


def test_without_sbatch_no_job_is_touched(cluster: Cluster, owner: httpx.Client) -> None:
    number = cluster.submit(owner, {"main.sh": "#!/bin/sh\n"})
    done = subprocess.run(  # noqa: S603 - the example
        [sys.executable, AGENT, "--sbatch", "no-such-sbatch"],
        cwd=cluster.directory,
        env=cluster.server.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "agent.py: error: --sbatch: command not found: no-such-sbatch",
    )
    assert state(owner, number)[0] == "CREATED"
