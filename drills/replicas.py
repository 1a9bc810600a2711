"""Two replicas share a database and a bucket: each serves the writes of the other immediately."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.processes import running
from benchmarks.servers import EXACT, TWO_WORKERS, free_port
from drills.client import NOT_FOUND, Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import (
    APPLICATIONS,
    SCRIPTS,
    SUBMISSIONS,
    application_form,
    script_form,
    script_text,
)
from jobbergate_server.settings import Database as PoolSettings

MOTO = str(Path(sys.executable).with_name("moto_server"))
BUCKET = "drill"
PEOPLE = 4
MOST_MEMORY = 128
"""MiB, as on the page about replicas."""
MOST_CONNECTIONS = 2 * 2 * PoolSettings.model_fields["pool_size"].default
"""Connections of two workers of two replicas."""
PRINTED = 10


class Person:
    """A user whose requests alternate between the replicas, each over a new connection."""

    def __init__(self, replicas: list[Client]) -> None:
        self._replicas = cycle(replicas)
        self.requests = 0
        self.surprises: list[str] = []

    async def ask(self, method: str, path: str, *, status: int = 200, **options: Any) -> Answer:  # noqa: ANN401 - the client's options
        """Send a request to the next replica, and return the response. Note an unexpected status."""
        answer = await next(self._replicas).ask(method, path, **options)
        self.requests += 1
        self.expect(f"{method} {path}", answer, answer.status == status)
        return answer

    def expect(self, what: str, answer: Answer, is_so: bool) -> None:  # noqa: FBT001 - the checked condition
        """Note an unexpected response."""
        if not is_so:
            self.surprises.append(f"{what}: {answer}")

    async def live(self, mark: str) -> None:
        """Add an application, a job script and a submission. Read each from the other replica, and delete it."""
        application_id = (await self.ask("POST", APPLICATIONS, status=201, json={"application_name": mark})).json["id"]
        application = f"{APPLICATIONS}/{application_id}"
        await self.ask("POST", f"{application}/upload", status=201, data=application_form(mark))
        await self._see(application, f"# {mark}")
        await self._count(APPLICATIONS, mark, 1)

        body = {"job_script_name": mark, "application_id": application_id}
        answer = await self.ask("POST", SCRIPTS, status=201, json=body)
        script = f"{SCRIPTS}/{answer.json['id']}"
        await self._see(script, f"# {mark}")
        await self.ask("PATCH", f"{script}/upload", status=204, data=script_form(f"{mark} again"))
        downloaded = await self.ask("GET", f"{script}/download")
        self.expect("download", downloaded, downloaded.body == script_text(f"{mark} again").encode())
        await self.ask("PUT", script, json={"job_script_description": f"{mark} changed"})
        await self._see(script, f"{mark} changed")
        await self._count(SCRIPTS, mark, 1)

        body = {"job_submission_name": mark, "job_script_id": answer.json["id"], "client_id": "cluster"}
        answer = await self.ask("POST", SUBMISSIONS, status=201, json=body)
        submission = f"{SUBMISSIONS}/{answer.json['id']}"
        await self._see(submission, mark)
        await self._count(SUBMISSIONS, mark, 1)
        for path, row in ((SUBMISSIONS, submission), (SCRIPTS, script), (APPLICATIONS, application)):
            await self.ask("DELETE", row, status=204)
            await self.ask("GET", row, status=NOT_FOUND)
            await self._count(path, mark, 0)

    async def _see(self, row: str, text: str) -> None:
        answer = await self.ask("GET", row)
        self.expect(row, answer, text.encode() in answer.body)

    async def _count(self, path: str, mark: str, number: int) -> None:
        # With a full page, the server must count the rows.
        answer = await self.ask("GET", path, params={"all": "true", "search": mark, "start": 0, "limit": 1})
        self.expect(path, answer, answer.is_good and answer.json["pagination"]["total"] == number)


@asynccontextmanager
async def bucket(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run an S3 service with an empty bucket, and yield the settings for it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([MOTO, "--host", "127.0.0.1", "--port", str(port)], url, folder / "moto.log", {}) as server:
        await asyncio.to_thread(server.wait_for, "/moto-api/data.json", pause=0.05)
        await asyncio.to_thread(server.ask, f"/{BUCKET}", method="PUT")
        yield {
            "JOBBERGATE_FILES__URL": f"s3://{BUCKET}/files",
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "drill",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }


async def run(run: Run, rounds: int) -> list[Figure]:
    """Work with both replicas, as concurrent users."""
    other = free_port()
    async with (
        bucket(run.folder) as variables,
        run.installation("replicas", {**TWO_WORKERS, **EXACT, **variables}) as installation,
        installation.serving() as first,
        installation.serving(other) as second,
        installation.client(reconnects=True) as here,
        installation.client(reconnects=True, url=second.url) as there,
    ):
        people = [Person([here, there] if number % 2 else [there, here]) for number in range(PEOPLE)]
        marks = iter([f"mark{number}z" for number in range(rounds)])

        async def live(person: Person) -> None:
            for mark in marks:
                await person.live(mark)

        await asyncio.gather(*map(live, people))
        memory = max(first.memory(), second.memory())
        connections = await connected(installation.database)
    surprises = [surprise for person in people for surprise in person.surprises]
    for surprise in surprises[:PRINTED]:
        print_progress(f"  {surprise}")
    return [
        Figure("requests", sum(person.requests for person in people), rounds, at_least=True),
        Figure("responses that lack a write of the other replica", len(surprises)),
        Figure("memory of the largest worker", memory, MOST_MEMORY, "MiB"),
        Figure("connections to PostgreSQL of all workers", connections, MOST_CONNECTIONS),
    ]


async def connected(database: str) -> int:
    """Count the connections to the database, except this one."""
    connection = await asyncpg.connect(database)
    try:
        others = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        return int(await connection.fetchval(others))
    finally:
        await connection.close()


DRILL = Drill(
    "replicas",
    "Two replicas with two workers each, on one PostgreSQL database and one bucket, with `limits.total_max_age = "
    f"0`. {PEOPLE} users add, upload, render, list, download and delete, {{rounds}} times. Successive requests "
    "alternate between the replicas.",
    run,
    rounds=200,
)
