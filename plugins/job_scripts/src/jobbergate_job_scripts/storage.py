"""The files of a job script in the file store, and the rows that point to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from jobbergate_job_scripts.models import JobScript, JobScriptFile
from jobbergate_server import Files

MAX_FILES = 100
CHUNK = 10_000
"""How many ids one query names; PostgreSQL takes 32,767 values at the most."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a job script's files by path, and which of them is the main one."""

    main: str
    files: Mapping[str, str]

    @property
    def wire(self) -> dict[str, Any]:
        """The files as clients see them: the main one first."""
        return {"main_file_path": self.main, "files": {self.main: self.files[self.main], **self.files}}


@dataclass(frozen=True, slots=True)
class Stored:
    """Files in the store, to which no rows point yet: their digests by path."""

    texts: Texts
    digests: Mapping[str, str]


STORED: web.RequestKey[Stored | None] = web.RequestKey("stored", Stored)


async def store(files: Files, texts: Texts) -> Stored:
    """Put the files into the store."""
    return Stored(texts, {path: await files.put(text.encode()) for path, text in texts.files.items()})


async def replace_files(script: JobScript, stored: Stored) -> None:
    """Let the job script have these files and no others."""
    await JobScriptFile.filter(job_script_id=script.id).delete()
    await JobScriptFile.bulk_create(
        JobScriptFile(job_script_id=script.id, path=path, is_main=path == stored.texts.main, digest=digest)
        for path, digest in stored.digests.items()
    )


async def find_main(script_id: int) -> JobScriptFile | None:
    """The row of the job script's main file; None when it has no files."""
    return await JobScriptFile.get_or_none(job_script_id=script_id, is_main=True)


async def read_files(files: Files, script_ids: Iterable[int]) -> dict[int, Texts]:
    """The texts of the files of many job scripts, sorted by path; those without files are left out."""
    ids = sorted(script_ids)
    rows: list[JobScriptFile] = []
    for start in range(0, len(ids), CHUNK):
        rows += await JobScriptFile.filter(job_script_id__in=ids[start : start + CHUNK])
    rows.sort(key=lambda row: row.path)  # a database sorts as its collation says
    texts = await files.get_texts({row.digest for row in rows})
    found: dict[int, dict[str, str]] = {}
    main: dict[int, str] = {}
    for row in rows:
        found.setdefault(row.job_script_id, {})[row.path] = texts[row.digest]
        if row.is_main:
            main[row.job_script_id] = row.path
    return {script_id: Texts(main[script_id], texts_of) for script_id, texts_of in found.items() if script_id in main}
