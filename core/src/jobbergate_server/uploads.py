"""Uploads: the files and texts of a form, read part by part under limits."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict

from jobbergate_server import fields
from jobbergate_server.errors import BadRequest, ContentTooLarge, Problem, Unprocessable
from jobbergate_server.settings import SETTINGS

MAX_PARTS = 100
MAX_HEADERS = 8 * 1024
"""Bytes of the headers of one part."""
MAX_BOUNDARY = 70
"""Characters of a boundary: RFC 2046, section 5.1.1."""
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
    form: MultiDict[str | Upload] = MultiDict()
    try:
        if request.content_type == "multipart/form-data":
            async for part in _parts(_Body(request, limit), _boundary(request)):
                if len(form) == MAX_PARTS:
                    raise Unprocessable(f"A form may hold at most {MAX_PARTS} files.")
                form.add(*part)
        elif request.content_type == "application/x-www-form-urlencoded":
            text = (await _Body(request, limit).rest()).decode()
            form.extend(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARTS))
    except web.RequestPayloadError:  # such as gzip that is none; aiohttp closes the connection
        raise BadRequest(UNREADABLE, {"Connection": "close"}) from None
    except (ValueError, ConnectionError):  # malformed; or the client has gone, and nobody reads the answer
        raise BadRequest(UNREADABLE) from None
    return form


def too_large(limit: int) -> ContentTooLarge:
    """The error of an upload of more than ``limit`` bytes."""
    return ContentTooLarge(f"Uploaded files cannot exceed {limit} bytes.")


class _Body:
    """The body of a request, whose bytes are counted as they come."""

    def __init__(self, request: web.Request, limit: int) -> None:
        self._content = request.content
        self._limit = self._left = limit
        self._buffer = bytearray()

    async def until(self, mark: bytes, most: int | None = None) -> bytes:
        """What comes before ``mark``, which is read over; at ``most`` so many bytes.

        Raises:
            ValueError: The mark does not come, or not soon enough.
        """
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if (most is not None and searched > most) or not await self._read():
                raise ValueError("the mark does not come")
        if most is not None and at > most:
            raise ValueError("the mark comes too late")
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    async def follows(self, mark: bytes) -> bool:
        """Whether ``mark`` comes next; it is read over then."""
        while len(self._buffer) < len(mark) and await self._read():
            pass
        if not self._buffer.startswith(mark):
            return False
        del self._buffer[: len(mark)]
        return True

    async def rest(self) -> bytes:
        """Everything up to the end."""
        while await self._read():
            pass
        return bytes(self._buffer)

    def put_back(self, content: bytes) -> None:
        """Let ``content`` come once more."""
        self._buffer[:0] = content

    async def _read(self) -> bool:
        content = await self._content.readany()
        self._left -= len(content)
        if self._left < 0:
            raise too_large(self._limit)
        self._buffer += content
        return bool(content)


async def _parts(body: _Body, boundary: bytes) -> AsyncIterator[tuple[str, str | Upload]]:
    """The fields of a form with their names (RFC 7578), as they come.

    Encodings of a part are left as they are: they are none of a form, and could be bombs.
    """
    delimiter = b"\r\n--" + boundary
    body.put_back(b"\r\n")  # the first delimiter may be the beginning of the body
    await body.until(delimiter)
    while not await body.follows(b"--"):
        if (await body.until(b"\r\n", MAX_HEADERS)).strip():
            raise ValueError("the delimiter is followed by something else")
        body.put_back(b"\r\n")  # for a part without headers
        headers = HeaderParser().parsestr((await body.until(b"\r\n\r\n", MAX_HEADERS)).decode().lstrip("\r\n"))
        content = await body.until(delimiter)
        name, filename = _parameter(headers, "name"), _parameter(headers, "filename")
        if name is None:
            raise ValueError("a part has no name")
        if filename is None:
            yield name, content.decode(errors="replace")
        else:
            yield name, Upload(filename, str(headers.get("Content-Type", "")), content)
    await body.rest()


def _boundary(request: web.Request) -> bytes:
    headers = HeaderParser().parsestr(f"Content-Type: {request.headers['Content-Type']}\n\n")
    boundary = headers.get_boundary("")
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise ValueError("the form has no boundary, or a wrong one")
    return boundary.encode()


def _parameter(headers: Message, name: str) -> str | None:
    value = headers.get_param(name, None, "Content-Disposition")
    return None if value is None else collapse_rfc2231_value(value, errors="strict")
