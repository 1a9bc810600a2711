"""The files of a job script in the file store, and the rows that reference them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiohttp import web

from jobbergate_job_scripts.models import JobScript, JobScriptFile
from jobbergate_server import Files, PreparedQuery

MAX_FILES = 100
"""Files of one job script."""
CHUNK = 10_000
"""Ids in one query. PostgreSQL accepts at most 32,767 values."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a job script's files by path, and the path of the main file."""

    main: str
    files: Mapping[str, str]

    @property
    def wire(self) -> dict[str, Any]:
        """The files in the form of the API, with the main file first."""
        return {"main_file_path": self.main, "files": {self.main: self.files[self.main], **self.files}}


@dataclass(frozen=True, slots=True)
class Stored:
    """Files in the store that no row references yet, as digests by path."""

    texts: Texts
    digests: Mapping[str, str]


class _Row(NamedTuple):
    path: str
    is_main: bool
    digest: str


STORED: web.RequestKey[Stored | None] = web.RequestKey("stored", Stored)


files_of = PreparedQuery(JobScriptFile, lambda script_id: JobScriptFile.filter(job_script_id=script_id))


async def store(files: Files, texts: Texts) -> Stored:
    """Write the files to the store."""
    digests = await files.put_texts(texts.files.values())
    return Stored(texts, dict(zip(texts.files, digests, strict=True)))


async def replace_files(script: JobScript, stored: Stored) -> None:
    """Replace all files of the job script by these."""
    await JobScriptFile.filter(job_script_id=script.id).delete()
    await add_files(script, stored)


async def add_files(script: JobScript, stored: Stored) -> None:
    """Add these files to a job script that has no files yet."""
    await JobScriptFile.bulk_create(
        JobScriptFile(job_script_id=script.id, path=path, is_main=path == stored.texts.main, digest=digest)
        for path, digest in stored.digests.items()
    )


async def find_main(script_id: int) -> JobScriptFile | None:
    """Return the row of the job script's main file; None if it has no files."""
    return await JobScriptFile.get_or_none(job_script_id=script_id, is_main=True)


async def read_files(files: Files, script_id: int) -> Texts | None:
    """Read the texts of the job script's files, sorted by path; None if it has no files."""
    rows = [_Row(row.path, row.is_main, row.digest) for row in await files_of(script_id)]
    return _assembled(rows, await files.get_texts(row.digest for row in rows))


async def read_many_files(files: Files, script_ids: Iterable[int]) -> dict[int, Texts]:
    """Read the texts of many job scripts as `read_files` does. Skip job scripts without files."""
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
    ordered = sorted(rows)  # a database sorts by its collation
    main = next((row.path for row in ordered if row.is_main), None)
    return None if main is None else Texts(main, {row.path: texts[row.digest] for row in ordered})
