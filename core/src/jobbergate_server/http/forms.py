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
MAX_HEADER = 8 * 1024
MAX_PAIRS = 64 * 1024
"""Bytes of a coded form, which has no files; to decode one takes many times its size."""
UNREADABLE = "There was an error parsing the body"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent: its name as sent, its media type with parameters, and its content."""

    name: str
    content_type: str
    content: bytes


class File(fields.Scalar[Upload]):
    """An uploaded file, in the schema of a form."""

    problem = FieldError("value_error", "Expected UploadFile, received: <class 'str'>")

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
        ContentTooLarge: There are more bytes than `limits.max_upload_size`, or than `MAX_PAIRS` in a coded form.
        Unprocessable: There are more parts than `MAX_PARTS`.
        BadRequest: The body is not the form that its content type says.
    """
    limit = request.app[SETTINGS].limits.max_upload_size
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    try:
        if request.content_type == "multipart/form-data":
            return await _read_parts(request, limit)
        if request.content_type == "application/x-www-form-urlencoded":
            return await _read_pairs(request)
    except web.RequestPayloadError:  # such as chunks that are none; aiohttp closes the connection
        raise BadRequest(UNREADABLE, {"Connection": "close"}) from None
    except (FormParserError, ValueError, ConnectionError):  # malformed; or the client has gone, and nobody reads it
        raise BadRequest(UNREADABLE) from None
    return MultiDict()


def too_large(limit: int) -> ContentTooLarge:
    """The error of an upload of more than ``limit`` bytes."""
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
        if len(body) > MAX_PAIRS:
            raise ContentTooLarge(f"A form without files cannot exceed {MAX_PAIRS} bytes.")
    return MultiDict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_PARTS))


class _Form:
    """The fields of a multipart form (RFC 7578), collected while it is read.

    Encodings of a part are left as they are: they are none of a form, and could be bombs.
    """

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise ValueError("the form has no boundary")
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
            max_header_size=MAX_HEADER,
        )

    def write(self, chunk: bytes) -> None:
        """Read on.

        Raises:
            FormParserError: The form is malformed.
        """
        self._parser.write(chunk)

    def finish(self) -> MultiDict[str | Upload]:
        """The fields of the form, which must have come to its end.

        Raises:
            ValueError: It has not.
        """
        if not self._is_complete:
            raise ValueError("the form ends too early")
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
            raise ValueError("a part has no name")
        name = options[b"name"].decode()
        if b"filename" in options:
            content_type = self._headers.get(b"content-type", b"").decode("latin-1")
            self._fields.add(name, Upload(options[b"filename"].decode(), content_type, bytes(self._content)))
        else:
            self._fields.add(name, self._content.decode(errors="replace"))
        self._headers, self._content = {}, bytearray()

    def _on_end(self) -> None:
        self._is_complete = True
