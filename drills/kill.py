"""`kill -9` of the server during writes and uploads: every acknowledged write persists, complete."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random

from drills.client import NO_ANSWER, NOT_FOUND, Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Installation, Run, ready
from drills.uploads import APPLICATIONS, SCRIPTS, application_form, script_form

WRITERS = 2
"""Concurrent writers of applications, and as many of job scripts."""
LONGEST = 0.5
"""Seconds of writes until the kill, at most."""
SEED = 6
DIGEST_LENGTH = 64
"""Characters."""


@dataclass
class Ledger:
    """The acknowledged writes: paths of rows, and the marks in their uploaded files."""

    rows: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(default_factory=dict)
    refusals: list[Answer] = field(default_factory=list)

    async def write(self, client: Client, path: str, number: int) -> bool:
        """Add a row and upload its files. Return False if the server does not respond."""
        mark = f"mark {number}"
        is_application = path == APPLICATIONS
        body = {"application_name": mark} if is_application else {"job_script_name": mark}
        answer = await client.post(path, body)
        if not self._noted(answer):
            return answer.status != NO_ANSWER
        row = f"{path}/{answer.json['id']}"
        self.rows.add(row)
        form = application_form(mark) if is_application else script_form(mark)
        answer = await client.post(f"{row}/upload", data=form)
        if self._noted(answer):
            self.marks[row] = mark
        return answer.status != NO_ANSWER

    def _noted(self, answer: Answer) -> bool:
        if not answer.is_good and answer.status != NO_ANSWER:
            self.refusals.append(answer)
        return answer.is_good


async def run(run: Run, rounds: int) -> list[Figure]:
    """Kill servers on SQLite and on PostgreSQL."""
    figures = []
    for dialect in ("SQLite", "PostgreSQL"):
        sqlite = dialect == "SQLite"
        async with run.installation(f"kill_{dialect.lower()}", sqlite=sqlite) as installation:
            ledger = Ledger()
            await kill(installation, ledger, rounds)
            found = await examine(installation, ledger, rounds)
            figures += [figure._replace(promise=f"{dialect}: {figure.promise}") for figure in found]
    return figures


async def kill(installation: Installation, ledger: Ledger, rounds: int) -> None:
    """Write, and kill the server at a random moment."""
    random = Random(SEED)  # noqa: S311 - times, not secrets
    numbers = count()

    async def write(path: str) -> None:
        while await ledger.write(client, path, next(numbers)):
            pass

    for _ in range(rounds):
        with installation.start() as server:
            await ready(server)
            async with installation.client() as client, asyncio.TaskGroup() as writers:
                for path in (APPLICATIONS, SCRIPTS):
                    for _ in range(WRITERS):
                        writers.create_task(write(path))
                await asyncio.sleep(random.uniform(0, LONGEST))
                server.kill()


async def examine(installation: Installation, ledger: Ledger, rounds: int) -> list[Figure]:
    """Check every acknowledged write and every stored file."""
    async with installation.serving(), installation.client() as client:
        listed = {f"{path}/{row['id']}": row for path in (APPLICATIONS, SCRIPTS) for row in await client.rows(path)}
        answers = await client.get_all(list(listed))
    lost = ledger.rows - listed.keys()
    for row, mark in ledger.marks.items():
        if row in listed and f"# {mark}\\n".encode() not in answers[row].body:
            lost.add(row)
    # A job script without an acknowledged upload may lack its file. The documented response is 404.
    broken = {row for row, answer in answers.items() if not answer.is_good and not _has_none(row, answer, ledger)}
    for row in (*lost, *broken):
        print_progress(f"  {row}: {answers.get(row)}")
    for refusal in ledger.refusals:
        print_progress(f"  rejected: {refusal}")
    return [
        Figure("acknowledged writes", len(ledger.rows) + len(ledger.marks), rounds, at_least=True),
        Figure("lost acknowledged writes", len(lost)),
        Figure("rows without their files", len(broken)),
        Figure("incomplete stored files", sum(not it for it in _whole(installation.files))),
        Figure("responses that are neither 2xx nor lost", len(ledger.refusals)),
    ]


def _has_none(row: str, answer: Answer, ledger: Ledger) -> bool:
    return row.startswith(SCRIPTS) and row not in ledger.marks and answer.status == NOT_FOUND


def _whole(folder: Path) -> Iterator[bool]:
    """Yield for each stored file whether its content matches its digest."""
    for file in folder.rglob("*"):
        if file.is_file() and len(file.name) == DIGEST_LENGTH:
            yield sha256(file.read_bytes()).hexdigest() == file.name


DRILL = Drill(
    "kill",
    "`kill -9` of the server at random moments, {rounds} times on SQLite and {rounds} times on PostgreSQL. "
    "Meanwhile four clients add rows and upload their files.",
    run,
    rounds=100,
)
