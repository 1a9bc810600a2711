"""Uploads: the files and texts of a form, read part by part under limits."""

from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from multidict import MultiDict

from jobbergate_server import fields
from jobbergate_server.errors import BadRequest, ContentTooLarge, Problem, Unprocessable
from jobbergate_server.settings import SETTINGS

MAX_PARTS = 100
UNREADABLE = "There was an error parsing the body"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent: its name as sent, its media type with parameters, and its content."""

    name: str
    content_type: str
    content: bytes


class File(fields.Scalar[Upload]):
    """An uploaded file, in the schema of a form."""

    problem = Problem("value_error", "Expected UploadFile, received: <class 'str'>")

    def read(self, value: Any) -> Upload:  # noqa: ANN401 - whatever the form holds
        """Accept a file with a name that a database can hold."""
        if not isinstance(value, Upload):
            raise self.make_error("invalid")
        if not fields.is_storable(value.name):
            raise fields.invalid(fields.NOT_STORABLE)
        return value


async def read_form(request: web.Request) -> MultiDict[str | Upload]:
    """The fields of the request's form; empty when its body is none.

    Raises:
        ContentTooLarge: There are more bytes than `limits.max_upload_size`.
        Unprocessable: There are more parts than `MAX_PARTS`.
        BadRequest: The body is not the form that its content type says.
    """
    limit = request.app[SETTINGS].limits.max_upload_size
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    if request.content_type == "multipart/form-data":
        try:
            return await _read_parts(await request.multipart(), limit)
        except ValueError:  # aiohttp's for every malformed form
            raise BadRequest(UNREADABLE) from None
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            return MultiDict(await request.post())  # type: ignore[arg-type]  # no files in this content type
        except ValueError:
            raise BadRequest(UNREADABLE) from None
    return MultiDict()


def too_large(limit: int) -> ContentTooLarge:
    """The error of an upload of more than ``limit`` bytes."""
    return ContentTooLarge(f"Uploaded files cannot exceed {limit} bytes.")


async def _read_parts(reader: MultipartReader, limit: int) -> MultiDict[str | Upload]:
    form: MultiDict[str | Upload] = MultiDict()
    free = limit
    async for part in reader:
        if len(form) == MAX_PARTS:
            raise Unprocessable(f"A form may hold at most {MAX_PARTS} files.")
        if not isinstance(part, BodyPartReader):
            raise BadRequest(UNREADABLE)
        content = bytearray()
        while chunk := await part.read_chunk():
            free -= len(chunk)
            if free < 0:
                raise too_large(limit)
            content += chunk
        # A Content-Encoding of a part is none of multipart/form-data (RFC 7578), and could be a bomb.
        name = part.name or ""
        if part.filename is None:
            form.add(name, content.decode(errors="replace"))
        else:
            form.add(name, Upload(part.filename, part.headers.get("Content-Type", ""), bytes(content)))
    return form
