"""The files of a job script in the file store, and the rows that point to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
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
    digests = await files.put_texts(texts.files.values())
    return Stored(texts, dict(zip(texts.files, digests, strict=True)))


async def replace_files(script: JobScript, stored: Stored) -> None:
    """Let the job script have these files and no others."""
    await JobScriptFile.filter(job_script_id=script.id).delete()
    await add_files(script, stored)


async def add_files(script: JobScript, stored: Stored) -> None:
    """Let the job script, which has no files yet, have these."""
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
    rows: list[tuple[int, str, bool, str]] = []
    for start in range(0, len(ids), CHUNK):
        chunk = JobScriptFile.filter(job_script_id__in=ids[start : start + CHUNK])
        rows += await chunk.values_list("job_script_id", "path", "is_main", "digest")
    rows.sort(key=itemgetter(1))  # a database sorts as its collation says
    texts = await files.get_texts(digest for *_, digest in rows)
    found: dict[int, dict[str, str]] = {}
    main: dict[int, str] = {}
    for script_id, path, is_main, digest in rows:
        found.setdefault(script_id, {})[path] = texts[digest]
        if is_main:
            main[script_id] = path
    return {script_id: Texts(main[script_id], texts_of) for script_id, texts_of in found.items() if script_id in main}
