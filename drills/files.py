"""An unavailable file store: requests without files succeed, and every row keeps its files."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from drills.client import NOT_FOUND, Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import APPLICATIONS, SCRIPTS, SUBMISSIONS, application_form, script_form

PEOPLE = 8
PRINTED = 10


class Upload(NamedTuple):
    """An attempted upload: its row, its mark and the response."""

    row: str
    mark: str
    answer: Answer


class Found(NamedTuple):
    """The responses during one state of the store."""

    uploads: list[Upload]
    others: list[Answer]
    """The responses to requests that need no file."""


async def run(run: Run, rounds: int) -> list[Figure]:
    """Replace the folder of the store by a file, and restore it."""
    there, away = Found([], []), Found([], [])
    async with run.installation("files") as installation:
        files = installation.files
        async with installation.serving(), installation.client() as client:
            for number in range(rounds):
                await work(client, f"before {number}", there)
                aside = files.rename(files.with_name("aside"))
                files.write_text("not a folder")
                await work(client, f"away {number}", away)
                files.unlink()
                aside.rename(files)
                await work(client, f"after {number}", there)
        # A new process has an empty cache.
        async with installation.serving(), installation.client() as client:
            uploads = [*there.uploads, *away.uploads]
            rows = await client.get_all([it.row for it in uploads])
    return figures(there, away, [it for it in uploads if not _is_whole(it, rows[it.row])])


async def work(client: Client, mark: str, found: Found) -> None:
    """Add rows, upload files and read lists, as several users."""

    async def one(path: str, mark: str) -> None:
        is_application = path == APPLICATIONS
        added = await client.post(path, {"application_name" if is_application else "job_script_name": mark})
        found.others.append(added)
        if added.is_good:
            row = f"{path}/{added.json['id']}"
            form = application_form(mark) if is_application else script_form(mark)
            found.uploads.append(Upload(row, mark, await client.post(f"{row}/upload", data=form)))
        found.others.extend([await client.get(it) for it in (APPLICATIONS, SCRIPTS, SUBMISSIONS)])

    paths = [APPLICATIONS, SCRIPTS] * (PEOPLE // 2)
    await asyncio.gather(*(one(path, f"{mark} {number}") for number, path in enumerate(paths)))


def figures(there: Found, away: Found, broken: Sequence[Upload]) -> list[Figure]:
    """Count the unexpected responses, and the rows whose files contradict the response to their upload."""
    stopped = [it for it in [*there.others, *away.others] if not it.is_good]
    refused = [it.answer for it in there.uploads if not it.answer.is_good]
    taken = [it.answer for it in away.uploads if not it.answer.asks_to_retry]
    for answer in [*stopped, *refused, *taken][:PRINTED]:
        print_progress(f"  {answer}")
    for upload in broken[:PRINTED]:
        print_progress(f"  {upload.row} contradicts the response to its upload: {upload.answer}")
    return [
        Figure("failed uploads while the store was available", len(refused)),
        Figure("uploads while the store was unavailable", len(away.uploads), PEOPLE, at_least=True),
        Figure("such uploads without a response 503 with Retry-After", len(taken)),
        Figure("failed requests that need no file", len(stopped)),
        Figure("rows without their files, or with rejected files", len(broken)),
    ]


def _is_whole(upload: Upload, row: Answer) -> bool:
    """Return whether a row has exactly the acknowledged files."""
    if upload.answer.is_good:
        return row.is_good and f"# {upload.mark}\\n".encode() in row.body
    if upload.row.startswith(SCRIPTS):
        return row.status == NOT_FOUND
    return row.is_good and not row.json["application_uploaded"]


DRILL = Drill(
    "files",
    f"A file replaces the folder of the file store, and the folder returns, {{rounds}} times. Meanwhile {PEOPLE} "
    "users add rows, upload files and read lists.",
    run,
    rounds=10,
)
