"""The files of a job script in the file store, and the rows that point to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiohttp import web

from jobbergate_job_scripts.models import JobScript, JobScriptFile
from jobbergate_server import Files, PreparedQuery

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


class _Row(NamedTuple):
    path: str
    is_main: bool
    digest: str


STORED: web.RequestKey[Stored | None] = web.RequestKey("stored", Stored)


files_of = PreparedQuery(JobScriptFile, lambda script_id: JobScriptFile.filter(job_script_id=script_id))


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


async def read_files(files: Files, script_id: int) -> Texts | None:
    """The texts of the job script's files, sorted by path; None when it has none."""
    rows = [_Row(row.path, row.is_main, row.digest) for row in await files_of(script_id)]
    return _assembled(rows, await files.get_texts(row.digest for row in rows))


async def read_many_files(files: Files, script_ids: Iterable[int]) -> dict[int, Texts]:
    """As `read_files`, of many job scripts; those without files are left out."""
    ids = sorted(script_ids)
    rows: dict[int, list[_Row]] = {}
    for start in range(0, len(ids), CHUNK):
        chunk = JobScriptFile.filter(job_script_id__in=ids[start : start + CHUNK])
        for script_id, *row in await chunk.values_list("job_script_id", *_Row._fields):
            rows.setdefault(script_id, []).append(_Row(*row))
    texts = await files.get_texts(row.digest for found in rows.values() for row in found)
    assembled = {script_id: _assembled(found, texts) for script_id, found in rows.items()}
    return {script_id: found for script_id, found in assembled.items() if found is not None}


def _assembled(rows: Iterable[_Row], texts: Mapping[str, str]) -> Texts | None:
    ordered = sorted(rows)  # a database sorts as its collation says
    main = next((row.path for row in ordered if row.is_main), None)
    return None if main is None else Texts(main, {row.path: texts[row.digest] for row in ordered})
