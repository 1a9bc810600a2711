"""Forms: read part by part under limits, and refused as a whole when they are none, never with 5xx."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import FormData
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from conftest import Call
    from jobbergate_devkit.testing import Client, MakeApp, Served

SCRIPTS = "/jobbergate/job-scripts"
LIMIT = 100_000
TOO_LARGE = {"detail": f"Uploaded files cannot exceed {LIMIT} bytes."}
UNREADABLE = (400, {"detail": "There was an error parsing the body"})
DISPOSITION = b'Content-Disposition: form-data; name="job_script_file"; filename="main.sh"'
END = b"\r\n--b--\r\n"
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=b"}
MISSING = [{"loc": ["body", "job_script_file"], "msg": "field required", "type": "value_error.missing"}]


@pytest.fixture
async def served(make_app: MakeApp) -> Served:
    return await make_app(settings={"limits": {"max_upload_size": LIMIT}})


@pytest.fixture
async def path(call: Call) -> str:
    """Where a file of a job script is uploaded to."""
    _, script = await call("POST", SCRIPTS, json={"job_script_name": "js"})
    return f"{SCRIPTS}/{script['id']}/upload"


def part(content: bytes, *headers: bytes) -> bytes:
    return b"--b\r\n" + b"\r\n".join(headers or [DISPOSITION]) + b"\r\n\r\n" + content


async def in_chunks(content: bytes, size: int = 16_384) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def stated(headers: Mapping[str, str], path: str, length: int | None) -> bytes:
    """The head of an upload, which says that ``length`` bytes follow, or that they come in chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {path} HTTP/1.1", "Host: x", size, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def test_a_form_of_just_the_size_is_taken_and_one_of_a_byte_more_is_not(call: Call, path: str) -> None:
    room = LIMIT - len(part(b"") + END)
    for chunked in (False, True):
        for size, status in ((room, 200), (room + 1, 413)):
            body = part(b"x" * size) + END
            data = in_chunks(body) if chunked else body
            found, reply = await call("POST", path, data=data, headers=FORM_TYPE)
            assert found == status
            assert status == 200 or reply == TOO_LARGE


@pytest.mark.parametrize("before", [b"x", b"x\r\n"], ids=["one line", "lines"])
async def test_what_stands_around_the_parts_counts_as_well(call: Call, path: str, before: bytes) -> None:
    preamble = before * LIMIT + b"\r\n"
    for body in (preamble + part(b"x") + END, part(b"x") + END + b"y" * LIMIT):
        assert await call("POST", path, data=in_chunks(body), headers=FORM_TYPE) == (413, TOO_LARGE)


async def test_a_body_is_counted_as_it_is_when_it_is_unpacked(call: Call, path: str) -> None:
    headers = {**FORM_TYPE, "Content-Encoding": "gzip"}
    body = gzip.compress(part(b"x" * 50 * LIMIT) + END)
    assert len(body) < LIMIT
    assert await call("POST", path, data=body, headers=headers) == (413, TOO_LARGE)
    assert (await call("POST", path, data=gzip.compress(part(b"x") + END), headers=headers))[0] == 200


@pytest.mark.parametrize("length", [10**12, None], ids=["announced", "chunked"])
async def test_a_client_that_is_still_sending_is_told(served: Served, path: str, length: int | None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(stated({**FORM_TYPE, "Authorization": f"Bearer {served.token()}"}, path, length))
    block = b"x" * 8192
    first = part(b"") if length else b"%x\r\n%b\r\n" % (len(part(b"")), part(b""))
    chunk = block if length else b"%x\r\n%b\r\n" % (len(block), block)

    async def send() -> None:
        writer.write(first)
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    assert await asyncio.wait_for(answer(reader), PATIENCE) == (413, TOO_LARGE)
    assert not sending.done()
    sending.cancel()
    writer.close()


async def test_a_connection_serves_on_after_an_upload_that_was_too_large(served: Served, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    headers = {**FORM_TYPE, "Authorization": f"Bearer {served.token()}"}
    for size in (2 * LIMIT, 20 * LIMIT):
        body = part(b"x" * size) + END
        writer.write(stated(headers, path, len(body)) + body)
        assert await asyncio.wait_for(answer(reader), PATIENCE) == (413, TOO_LARGE)
    body = part(b"x") + END
    writer.write(stated(headers, path, len(body)) + body)
    assert (await asyncio.wait_for(answer(reader), PATIENCE))[0] == 200
    writer.close()


async def test_a_body_that_ends_too_early_is_no_form(served: Served, api: Client, path: str) -> None:
    headers = {**FORM_TYPE, "Authorization": f"Bearer {served.token()}"}
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(stated(headers, path, 1000) + part(b"x"))
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    async with api.get(path.removesuffix("/upload")) as response:
        assert response.status == 404


async def test_more_than_100_parts_are_refused(call: Call, path: str) -> None:
    other = part(b"x\r\n", b'Content-Disposition: form-data; name="other"')
    expected = {"detail": "A form may hold at most 100 files."}
    assert (await call("POST", path, data=other * 99 + part(b"x") + END, headers=FORM_TYPE))[0] == 200
    assert await call("POST", path, data=other * 100 + part(b"x") + END, headers=FORM_TYPE) == (422, expected)
    tiny = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
    assert await call("POST", path, data=tiny * 2_000 + END, headers=FORM_TYPE) == (422, expected)


async def test_ten_thousand_parts_are_refused_like_one_too_many(make_app: MakeApp, call: Call, path: str) -> None:
    large = (await make_app()).client_as()
    tiny = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
    status, reply = await call("POST", path, large, data=tiny * 10_000 + END, headers=FORM_TYPE)
    assert (status, reply) == (422, {"detail": "A form may hold at most 100 files."})


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary=c",
        "multipart/form-data; charset=utf-8",
    ],
)
async def test_a_form_without_its_boundary_cannot_be_read(call: Call, path: str, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert await call("POST", path, data=part(b"x") + END, headers=headers) == UNREADABLE


@pytest.mark.parametrize(
    "body",
    {
        "empty": b"",
        "nothing of a form": b"hello",
        "an open part": part(b"x"),
        "open headers": b"--b\r\n" + DISPOSITION,
        "no line after the delimiter": b"--b",
        "words after the delimiter": b"--bxx\r\n" + DISPOSITION + b"\r\n\r\nx" + END,
        "a part without headers": b"--b\r\n\r\nx" + END,
        "a part without a name": part(b"x", b'Content-Disposition: form-data; filename="x"') + END,
        "a part without a disposition": part(b"x", b"Content-Type: text/plain") + END,
        "headers that are not UTF-8": part(b"x", DISPOSITION.replace(b"main", b"m\xe4in")) + END,
        "very many headers": part(b"x", DISPOSITION, *[b"X-%d: y" % number for number in range(2_000)]) + END,
        "a very long header": part(b"x", DISPOSITION, b"X: " + b"y" * 20_000) + END,
        "bytes": bytes(range(256)) * 10,
    }.values(),
    ids=lambda body: f"{len(body)} {body[:12]!r}",
)
async def test_a_malformed_form_cannot_be_read(call: Call, path: str, body: bytes) -> None:
    assert await call("POST", path, data=body, headers=FORM_TYPE) == UNREADABLE
    assert await call("POST", path, data=in_chunks(body, 1_000), headers=FORM_TYPE) == UNREADABLE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_packed_as_it_says_cannot_be_read(call: Call, path: str, encoding: str) -> None:
    headers = {**FORM_TYPE, "Content-Encoding": encoding}
    assert await call("POST", path, data=part(b"x" * 5_000) + END, headers=headers) == UNREADABLE


@pytest.mark.parametrize(
    ("body", "name", "content"),
    {
        "the plain form": (part(b"x") + END, "main.sh", b"x"),
        "no line break at the end": (part(b"x") + b"\r\n--b--", "main.sh", b"x"),
        "an epilogue": (part(b"x") + END + b"good bye\r\n", "main.sh", b"x"),
        "line breaks and near delimiters": (
            part(b"\r\n--a\r\n\n--b\r\n-b--\r\n") + END,
            "main.sh",
            b"\r\n--a\r\n\n--b\r\n-b--\r\n",
        ),
        "no quotes": (part(b"x", DISPOSITION.replace(b'"', b"")) + END, "main.sh", b"x"),
        "a semicolon and quotes": (
            part(b"x", DISPOSITION.replace(b"main.sh", b'a;\\"b\\".sh')) + END,
            'a;"b".sh',
            b"x",
        ),
        "UTF-8": (part(b"x", DISPOSITION.replace(b"main", "日本".encode())) + END, "日本.sh", b"x"),
        "a charset of the form": (
            part(b"utf-8", b'Content-Disposition: form-data; name="_charset_"') + b"\r\n" + part(b"x") + END,
            "main.sh",
            b"x",
        ),
    }.values(),
)
async def test_what_the_standard_allows_is_read(  # noqa: PLR0917
    call: Call, api: Client, path: str, body: bytes, name: str, content: bytes
) -> None:
    for data in (body, in_chunks(body, 7)):
        status, reply = await call("POST", path, data=data, headers=FORM_TYPE)
        assert status == 200, reply
        assert reply["message"].startswith(f"Successfully uploaded {name} for ")
        async with api.get(path.replace("upload", "download")) as response:
            assert await response.read() == content


@pytest.mark.parametrize("encoding", [b"Content-Encoding: gzip", b"Content-Transfer-Encoding: base64"])
async def test_encodings_of_a_part_are_not_undone(call: Call, api: Client, path: str, encoding: bytes) -> None:
    packed = gzip.compress(b"x" * 10 * LIMIT)
    assert len(packed) < LIMIT
    status, reply = await call("POST", path, data=part(packed, DISPOSITION, encoding) + END, headers=FORM_TYPE)
    assert status == 422
    assert "main.sh is not UTF-8" in reply["detail"]
    assert (await call("POST", path, data=part(b"eA==", DISPOSITION, encoding) + END, headers=FORM_TYPE))[0] == 200
    async with api.get(path.replace("upload", "download")) as response:
        assert await response.text() == "eA=="


async def test_text_in_the_place_of_a_file_is_refused(call: Call, path: str) -> None:
    form = FormData({"job_script_file": "text"})
    expected = [
        {
            "loc": ["body", "job_script_file"],
            "msg": "Expected UploadFile, received: <class 'str'>",
            "type": "value_error",
        }
    ]
    assert await call("POST", path, data=form) == (422, {"detail": expected})
    text = part(b"text", b'Content-Disposition: form-data; name="job_script_file"')
    assert await call("POST", path, data=text + END, headers=FORM_TYPE) == (422, {"detail": expected})


@pytest.mark.parametrize(
    "headers",
    [FORM_TYPE, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "application/json"}, {}],
    ids=["multipart", "urlencoded", "json", "none"],
)
async def test_a_form_without_the_file_says_that_it_is_missing(call: Call, path: str, headers: dict[str, str]) -> None:
    body = b"--b--\r\n" if headers is FORM_TYPE else b"{}"
    assert await call("POST", path, data=body, headers=headers) == (422, {"detail": MISSING})


@pytest.mark.parametrize(
    ("body", "charset", "status"),
    [
        (b"a=\xff", "", 400),
        (b"&".join([b"a=b"] * 101), "", 400),
        (b"a=b", "; charset=no-such", 422),
        (b"a=" + b"x" * LIMIT, "", 413),
    ],
    ids=["not UTF-8", "too many fields", "unknown charset", "too large"],
)
async def test_a_coded_form_is_read_under_the_same_limits(
    call: Call, path: str, body: bytes, charset: str, status: int
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded" + charset}
    for data in (body, in_chunks(body)):
        assert (await call("POST", path, data=data, headers=headers))[0] == status


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"a\0b", 422), (b"\xed\xa0\x80", 400), (b"\xff", 400)],
    ids=["NUL", "lone surrogate", "not UTF-8"],
)
async def test_a_file_name_that_cannot_be_stored_is_refused(call: Call, path: str, name: bytes, expected: int) -> None:
    disposition = b'Content-Disposition: form-data; name="job_script_file"; filename="' + name + b'"'
    status, _ = await call("POST", path, data=part(b"x", disposition) + END, headers=FORM_TYPE)
    assert status == expected


async def test_of_a_file_that_is_sent_twice_the_last_counts(call: Call, api: Client, path: str) -> None:
    body = part(b"first") + b"\r\n" + part(b"last") + END
    assert (await call("POST", path, data=body, headers=FORM_TYPE))[0] == 200
    async with api.get(path.replace("upload", "download")) as response:
        assert await response.text() == "last"
