"""Uploads: the files and texts of a form, read part by part under limits."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from jobbergate_server.errors import BadRequest, ContentTooLarge, FieldError, Unprocessable
from jobbergate_server.http import fields
from jobbergate_server.http.bodies import unpacked
from jobbergate_server.http.keys import SETTINGS

MAX_PARTS = 100
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024
MAX_URLENCODED_BYTES = 64 * 1024
"""The maximum size of a URL-encoded form without files; decoding needs many times its size."""
UNREADABLE_BODY = "There was an error parsing the body"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent: its name as sent, its media type with parameters, and its content."""

    name: str
    content_type: str
    content: bytes


class File(fields.Scalar[Upload]):
    """An uploaded file, in the schema of a form."""

    problem = FieldError("value_error", "Expected UploadFile, received: <class 'str'>")

    def read(self, value: Any) -> Upload:  # noqa: ANN401 - any value of a form
        """Accept a file with a name that a database can store."""
        if not isinstance(value, Upload):
            raise self.make_error("invalid")
        if not fields.is_storable(value.name):
            raise fields.invalid(fields.NOT_STORABLE)
        return value


async def read_form(request: web.Request) -> MultiDict[str | Upload]:
    """Return the fields of the request's form, or no fields when its body is not a form.

    Raises:
        ContentTooLarge: The body exceeds `limits.max_upload_size`, or a URL-encoded form `MAX_URLENCODED_BYTES`.
        Unprocessable: The form contains more than `MAX_PARTS` parts.
        BadRequest: The body does not match its content type.
    """
    limit = request.app[SETTINGS].limits.max_upload_size
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    try:
        if request.content_type == "multipart/form-data":
            return await _read_parts(request, limit)
        if request.content_type == "application/x-www-form-urlencoded":
            return await _read_pairs(request)
    except web.RequestPayloadError:  # such as malformed chunks; aiohttp closes the connection
        raise BadRequest(UNREADABLE_BODY, {"Connection": "close"}) from None
    except (FormParserError, ValueError, ConnectionError):  # malformed, or the client disconnected
        raise BadRequest(UNREADABLE_BODY) from None
    return MultiDict()


def too_large(limit: int) -> ContentTooLarge:
    """Return the error of an upload that exceeds ``limit`` bytes."""
    return ContentTooLarge(f"Uploaded files cannot exceed {limit} bytes.")


async def _read_parts(request: web.Request, limit: int) -> MultiDict[str | Upload]:
    _, options = parse_options_header(request.headers["Content-Type"])
    form = _Form(options.get(b"boundary", b""))
    left = limit
    async for chunk in unpacked(request):
        left -= len(chunk)
        if left < 0:
            raise too_large(limit)
        form.write(chunk)
    return form.finish()


async def _read_pairs(request: web.Request) -> MultiDict[str | Upload]:
    body = bytearray()
    async for chunk in unpacked(request):
        body += chunk
        if len(body) > MAX_URLENCODED_BYTES:
            raise ContentTooLarge(f"A form without files cannot exceed {MAX_URLENCODED_BYTES} bytes.")
    return MultiDict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_PARTS))


class _Form:
    """The fields of a multipart form (RFC 7578), collected while it is read.

    Content codings of a part are ignored: RFC 7578 does not define them, and they could be compression bombs.
    """

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise ValueError("the Content-Type of the form must contain a boundary")
        self._fields: MultiDict[str | Upload] = MultiDict()
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._content = bytearray()
        self._is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def write(self, chunk: bytes) -> None:
        """Parse the next chunk.

        Raises:
            FormParserError: The form is malformed.
        """
        self._parser.write(chunk)

    def finish(self) -> MultiDict[str | Upload]:
        """Return the fields of the complete form.

        Raises:
            ValueError: The form is truncated.
        """
        if not self._is_complete:
            raise ValueError("the form is truncated")
        return self._fields

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _on_part_end(self) -> None:
        if len(self._fields) == MAX_PARTS:
            raise Unprocessable(f"A form may hold at most {MAX_PARTS} files.")
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise ValueError("each part of a form must contain a name")
        name = options[b"name"].decode()
        if b"filename" in options:
            content_type = self._headers.get(b"content-type", b"").decode("latin-1")
            self._fields.add(name, Upload(options[b"filename"].decode(), content_type, bytes(self._content)))
        else:
            self._fields.add(name, self._content.decode(errors="replace"))
        self._headers, self._content = {}, bytearray()

    def _on_end(self) -> None:
        self._is_complete = True
