"""The file store goes away and comes back: what needs no file goes on, and no row is left without its file."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from drills.client import NOT_FOUND, Answer, Client
from drills.drill import Drill, Figure, tell
from drills.installation import Run
from drills.uploads import APPLICATIONS, SCRIPTS, SUBMISSIONS, application_form, script_form

PEOPLE = 8
TOLD = 10


class Upload(NamedTuple):
    """An upload that was tried: to which row, with which mark, and the answer."""

    row: str
    mark: str
    answer: Answer


class Found(NamedTuple):
    """What people were answered while the store was in one state."""

    uploads: list[Upload]
    others: list[Answer]
    """What needs no file."""


async def run(run: Run, rounds: int) -> list[Figure]:
    """Put a file in the place of the folder, and the folder back."""
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
        # Another process has none of the files in its memory.
        async with installation.serving(), installation.client() as client:
            uploads = [*there.uploads, *away.uploads]
            rows = await client.get_all([it.row for it in uploads])
    return figures(there, away, [it for it in uploads if not _is_whole(it, rows[it.row])])


async def work(client: Client, mark: str, found: Found) -> None:
    """Let people add rows, upload files and read lists."""

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
    """What people were answered, and the rows whose files are not what they were answered."""
    stopped = [it for it in [*there.others, *away.others] if not it.is_good]
    refused = [it.answer for it in there.uploads if not it.answer.is_good]
    taken = [it.answer for it in away.uploads if not it.answer.asks_to_retry]
    for answer in [*stopped, *refused, *taken][:TOLD]:
        tell(f"  {answer}")
    for upload in broken[:TOLD]:
        tell(f"  {upload.row} is not what was answered: {upload.answer}")
    return [
        Figure("uploads that were refused while the store was there", len(refused)),
        Figure("uploads while it was away", len(away.uploads), PEOPLE, at_least=True),
        Figure("those of them that were not answered 503 with Retry-After", len(taken)),
        Figure("requests that need no file and were refused", len(stopped)),
        Figure("rows without their files, or with files that were refused", len(broken)),
    ]


def _is_whole(upload: Upload, row: Answer) -> bool:
    """Whether a row has the files that were acknowledged, or none."""
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
