"""Uploaded files of an application: their selection and validation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobbergate_applications.models import Kind
from jobbergate_applications.paths import confined_path
from jobbergate_applications.sandbox import Sandbox
from jobbergate_server import ContentTooLarge, Unprocessable, Upload

SOURCE = "jobbergate.py"
CONFIG = "jobbergate.yaml"
KINDS = {".py": Kind.SOURCE, ".yaml": Kind.CONFIG, ".j2": Kind.TEMPLATE, ".jinja2": Kind.TEMPLATE}
MEDIA_TYPE = "text/plain"
MAX_SIZES = {Kind.SOURCE: 256 * 1024, Kind.CONFIG: 64 * 1024, Kind.TEMPLATE: 1024 * 1024}
"""Bytes of a file, by its kind."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that is not stored yet."""

    kind: Kind
    name: str
    text: str


async def complete(sandbox: Sandbox, uploads: Iterable[Upload]) -> list[Draft]:
    """Check the upload of a whole application, and return the files to store.

    Raises:
        Unprocessable: A file is missing, or has a wrong type or syntax.
        ContentTooLarge: A file is too large.
    """
    known = [(kind, upload) for upload in uploads if (kind := KINDS.get(PurePosixPath(upload.name).suffix))]
    missing = []
    if not any(upload.name == SOURCE for _, upload in known):
        missing.append(f"\n  1: The application source file is missing ({SOURCE})")
    if not any(kind is Kind.TEMPLATE for kind, _ in known):
        missing.append("\n  2: missing one or more template files (.j2 and/or .jinja2)")
    if missing:
        raise _invalid("Checked expressions failed: Invalid file extensions" + "".join(missing))
    if any(upload.content_type != MEDIA_TYPE for _, upload in known):
        raise _invalid(f"The content of the files {', '.join(KINDS)} is expected to be {MEDIA_TYPE}")
    drafts = [draft(kind, upload.name, upload.content) for kind, upload in known]
    await check(sandbox, drafts)
    return [it for it in drafts if it.kind is Kind.TEMPLATE or it.name in {SOURCE, CONFIG}]


def draft(kind: Kind, name: str, content: bytes) -> Draft:
    """Decode the content of a file, and check its size and name.

    The name of a template is its base name.

    Raises:
        Unprocessable: The content is not UTF-8, or the name is not a valid file name.
        ContentTooLarge: The content is too large for its kind.
    """
    if len(content) > MAX_SIZES[kind]:
        raise ContentTooLarge(f"The file {name} cannot exceed {MAX_SIZES[kind]} bytes.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None
    if kind is Kind.TEMPLATE:
        try:
            name = confined_path(PurePosixPath(name).name)
        except ValueError as error:
            raise _invalid(str(error)) from None
    return Draft(kind, name, text)


async def check(sandbox: Sandbox, drafts: Sequence[Draft]) -> None:
    """Check that each file parses as its kind, and that jobbergate.yaml has its sections.

    Raises:
        Unprocessable: A file does not; the message lists all such files.
    """
    try:
        lines = await sandbox.run("check", files=[{"kind": it.kind, "name": it.name, "text": it.text} for it in drafts])
    except Unprocessable as error:
        raise _invalid(str(error.detail)) from None
    if lines:
        found = "".join(f"\n  {line}" for line in lines)
        raise _invalid(f"Checked expressions failed: Invalid syntax on uploaded file(s){found}")
    for it in drafts:
        if it.kind is Kind.CONFIG and it.name == CONFIG:
            try:
                await sandbox.run("validate", text=it.text)
            except Unprocessable as error:
                raise _invalid(f"Not possible to get the configuration from {CONFIG} -- {error.detail}") from None


def _invalid(reason: str) -> Unprocessable:
    return Unprocessable(f"The uploaded files are invalid -- {reason}")
