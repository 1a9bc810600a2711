"""`kill -9` of the server while clients write and upload: no acknowledged data and no reaction to an event is lost."""

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
from drills.receiver import CREATED, Receiver, receiving
from drills.uploads import APPLICATIONS, SCRIPTS, SUBMISSIONS, application_form, script_form

WRITERS = 2
"""Concurrent writers of applications, and as many of job scripts."""
LONGEST = 0.5
"""Seconds of writes until the kill, at most."""
CLUSTER = "cluster"
SEED = 6
DIGEST_LENGTH = 64
"""Characters."""
REJECTED = "REJECTED"


@dataclass
class Ledger:
    """What the server has acknowledged: rows by their paths, the marks in their uploaded files, rejections."""

    rows: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(default_factory=dict)
    rejections: set[str] = field(default_factory=set)
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

    async def reject(self, owner: Client, agent: Client, script_id: int) -> bool:
        """Add a submission and let its cluster reject it; False when the server does not answer."""
        body = {"job_submission_name": "Flow", "job_script_id": script_id, "client_id": CLUSTER}
        answer = await owner.post(SUBMISSIONS, body)
        if not self._noted(answer):
            return answer.status != NO_ANSWER
        submission_id = answer.json["id"]
        self.rows.add(row := f"{SUBMISSIONS}/{submission_id}")
        report = {"new_status": REJECTED, "report_message": "Unknown partition."}
        answer = await agent.put(f"{SUBMISSIONS}/agent/{submission_id}", report)
        if self._noted(answer):
            self.rejections.add(row)
        return answer.status != NO_ANSWER

    def _noted(self, answer: Answer) -> bool:
        if not answer.is_good and answer.status != NO_ANSWER:
            self.refusals.append(answer)
        return answer.is_good


async def run(run: Run, rounds: int) -> list[Figure]:
    """Kill servers on SQLite and on PostgreSQL."""
    figures = []
    for dialect in ("SQLite", "PostgreSQL"):
        name, sqlite = f"kill_{dialect.lower()}", dialect == "SQLite"
        async with (
            receiving() as receiver,
            run.installation(name, receiver.variables, sqlite=sqlite) as installation,
        ):
            ledger, script_id = Ledger(), await prepare(installation, receiver)
            await kill(installation, ledger, rounds, script_id)
            found = await examine(installation, ledger, receiver, rounds)
            figures += [figure._replace(promise=f"{dialect}: {figure.promise}") for figure in found]
    return figures


async def prepare(installation: Installation, receiver: Receiver) -> int:
    """Register the webhook, and return the id of a job script to submit."""
    async with installation.serving(), installation.client() as client:
        await receiver.register(client)
        script_id: int = (await client.post(SCRIPTS, {"job_script_name": "Flow"})).json["id"]
        await client.post(f"{SCRIPTS}/{script_id}/upload", data=script_form("flow"))
        return script_id


async def kill(installation: Installation, ledger: Ledger, rounds: int, script_id: int) -> None:
    """Kill the server at random moments while clients write."""
    random = Random(SEED)  # noqa: S311 - moments, not secrets
    numbers = count()

    async def write(path: str) -> None:
        while await ledger.write(client, path, next(numbers)):
            pass

    async def reject() -> None:
        while await ledger.reject(client, agent, script_id):
            pass

    for _ in range(rounds):
        with installation.start() as server:
            await ready(server)
            async with (
                installation.client() as client,
                installation.client(client_id=CLUSTER) as agent,
                asyncio.TaskGroup() as writers,
            ):
                writers.create_task(reject())
                for path in (APPLICATIONS, SCRIPTS):
                    for _ in range(WRITERS):
                        writers.create_task(write(path))
                await asyncio.sleep(random.uniform(0, LONGEST))
                server.kill()


async def examine(installation: Installation, ledger: Ledger, receiver: Receiver, rounds: int) -> list[Figure]:
    """Look for all acknowledged writes, every file, and the messages about all rows, also unacknowledged ones."""
    async with installation.serving(), installation.client() as client:
        lists = (APPLICATIONS, SCRIPTS, SUBMISSIONS)
        listed = {f"{path}/{row['id']}": row for path in lists for row in await client.rows(path)}
        answers = await client.get_all(list(listed))
        created = {row for row in ledger.rows | listed.keys() if row.startswith(tuple(CREATED.values()))}
        rejected = {path for path, row in listed.items() if row.get("status") == REJECTED}
        unsent, unmailed = await receiver.missing(created, ledger.rejections | rejected)
    lost = (ledger.rows - listed.keys()) | (ledger.rejections - rejected)
    for row, mark in ledger.marks.items():
        if row in listed and f"# {mark}\\n".encode() not in answers[row].body:
            lost.add(row)
    # A job script without an acknowledged upload may lack its file. The documented response is 404.
    broken = {row for row, answer in answers.items() if not answer.is_good and not _has_none(row, answer, ledger)}
    for row in (*lost, *broken):
        print_progress(f"  {row}: {answers.get(row)}")
    for row in (*unsent, *unmailed, *receiver.doubled):
        print_progress(
            f"  {row}: {len(receiver.message_ids[row])} different messages, mailed: {row in receiver.mailed}"
        )
    for refusal in ledger.refusals:
        print_progress(f"  rejected: {refusal}")
    writes = len(ledger.rows) + len(ledger.marks) + len(ledger.rejections)
    return [
        Figure("acknowledged writes", writes, rounds, at_least=True),
        Figure("lost acknowledged writes", len(lost)),
        Figure("rows without their files", len(broken)),
        Figure("incomplete stored files", sum(not it for it in _whole(installation.files))),
        Figure("responses that are neither 2xx nor lost", len(ledger.refusals)),
        Figure("messages to webhooks and e-mails", receiver.count, rounds, at_least=True),
        Figure("lost webhook messages", len(unsent)),
        Figure("webhook messages sent again under another id", len(receiver.doubled)),
        Figure("lost e-mails", len(unmailed)),
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
    "Meanwhile four clients add rows and upload their files, and a cluster rejects job submissions. "
    "A receiver of webhooks and a mail server count the messages.",
    run,
    rounds=100,
)
