"""The files of an application in the file store, and the rows that reference them."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from jobbergate_applications.models import Application, ApplicationFile, Kind
from jobbergate_applications.uploads import Draft
from jobbergate_server import Files, PreparedQuery


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the store that no row references yet."""

    kind: Kind
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The texts of an application's files, with the templates sorted by name."""

    config: str | None
    source: str | None
    templates: dict[str, str]


STORED = web.RequestKey("stored", list[Stored])


files_of = PreparedQuery(ApplicationFile, lambda application_id: ApplicationFile.filter(application_id=application_id))


async def store(files: Files, drafts: Iterable[Draft]) -> list[Stored]:
    """Write the files to the store."""
    drafts = list(drafts)
    digests = await files.put_texts(it.text for it in drafts)
    return [Stored(it.kind, it.name, digest) for it, digest in zip(drafts, digests, strict=True)]


async def replace_files(application: Application, stored: Iterable[Stored]) -> None:
    """Add these files to the application. A file replaces the one of the same kind and name."""
    for it in stored:
        await ApplicationFile.update_or_create(
            application=application, kind=it.kind, name=it.name, defaults={"digest": it.digest}
        )


async def remove_files(application: Application) -> None:
    """Delete the application's references to its files."""
    await ApplicationFile.filter(application_id=application.id).delete()


async def read_files(files: Files, application: Application) -> Contents:
    """Read the texts of the application's files."""
    rows = await files_of(application.id)
    rows.sort(key=lambda row: row.name)  # a database sorts by its collation
    texts = await files.get_texts(row.digest for row in rows)
    of_kind: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
    for row in rows:
        of_kind[row.kind][row.name] = texts[row.digest]
    configs, sources = of_kind[Kind.CONFIG].values(), of_kind[Kind.SOURCE].values()
    return Contents(next(iter(configs), None), next(iter(sources), None), of_kind[Kind.TEMPLATE])
