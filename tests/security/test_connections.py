"""What is no HTTP, comes slowly or is ambiguous: it is answered as all errors are, or the connection is closed."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from patience import PATIENCE
from promises import alive
from raw import connected

from jobbergate_server.http import requests
from jobbergate_server.serving import connections, processes
from jobbergate_server.settings import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import MakeApp, Served

pytestmark = pytest.mark.database("sqlite")

SECONDS = 0.3
NO_REQUEST = {"detail": "The request could not be read."}
LATE = {"detail": "The body was not received in time."}
HEALTH = b"GET /jobbergate/health HTTP/1.1\r\nHost: x\r\n\r\n"
SCRIPTS = b"/jobbergate/job-scripts"
BODY = b'{"job_script_name":"x"}'
FORM = b'--b\r\nContent-Disposition: form-data; name="job_script_file"; filename="main.sh"\r\n\r\nhostname\r\n--b--\r\n'


@pytest.fixture
async def attacked(make_app: MakeApp) -> AsyncIterator[Served]:
    served = await make_app()
    async with alive(served):
        yield served


def post(served: Served, *lines: bytes, path: bytes = SCRIPTS) -> bytes:
    """The head of a request that may add a job script, with these lines and no length."""
    token = served.token().encode()
    head = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer " + token, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"EVIL /jobbergate/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get /jobbergate/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX\0: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X" * 40_000 + b": y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    ],
    ids=lambda head: f"{len(head)} {head[:30]!r}",
)
async def test_what_is_no_request_is_answered_as_all_errors_are(attacked: Served, head: bytes) -> None:
    async with connected(attacked) as raw:
        await raw.send(head)
        status, headers, body = await raw.answer()
        assert (status, body) == (400, NO_REQUEST)
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert await raw.rest() == b""


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 23", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 23"],
        [b"Content-Length: 23", b"Content-Length: 24"],
        [b"Content-Length: 23", b"Content-Length: 23"],
        [b"Content-Length: 23, 23"],
        [b"Content-Length: +23"],
        [b"Content-Length: -1"],
        [b"Content-Length: 0x17"],
        [b"Content-Length: 2 3"],
        [b"Content-Length: 23\x0b"],
        [b"Content-Length: " + b"9" * 30],
        [b"Content-Length:"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding:\x0bchunked"],
    ],
    ids=lambda lines: " ".join(str(line) for line in lines),
)
async def test_a_body_whose_end_is_ambiguous_is_not_read(attacked: Served, lines: list[bytes]) -> None:
    async with connected(attacked) as raw:
        # Where a server took the other end than a proxy, what follows would be a request that the proxy has not seen.
        await raw.send(post(attacked, b"Content-Type: application/json", *lines) + BODY + HEALTH)
        status, _, body = await raw.answer()
        assert (status, body) == (400, NO_REQUEST)
        assert await raw.rest() == b""


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"-1\r\n", b"5;" + b"x" * 20_000, b"5\r\nabcdeXX", b"f" * 20 + b"\r\n", b"5 \n", b"\0"]
)
async def test_chunks_that_are_none_are_refused(attacked: Served, chunks: bytes) -> None:
    async with connected(attacked) as raw:
        head = post(attacked, b"Content-Type: application/json", b"Transfer-Encoding: chunked")
        await raw.send(head + chunks + HEALTH)
        status, _, body = await raw.answer()
        assert status == 400
        assert set(body) == {"detail"}
        assert b"204" not in await raw.rest()


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_body_that_does_not_come_in_time_is_given_up(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, *, form: bool, chunked: bool
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", SECONDS)
    monkeypatch.setattr(connections, "LINGERING_TIME", SECONDS)
    served = await make_app()
    body = FORM if form else BODY
    lines = [b"Content-Type: " + (b"multipart/form-data; boundary=b" if form else b"application/json")]
    lines.append(b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body))
    path = SCRIPTS + b"/1/upload" if form else SCRIPTS
    async with alive(served), connected(served) as raw:

        async def drip() -> None:
            await raw.send(post(served, *lines, path=path))
            for byte in body[:-1]:
                await raw.send(b"1\r\n%c\r\n" % byte if chunked else b"%c" % byte)
                await asyncio.sleep(SECONDS / 10)

        dripping = asyncio.create_task(drip())
        status, headers, answer = await raw.answer()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert (status, answer) == (408, LATE)
        assert headers["connection"] == "close"
        assert await raw.rest() == b""


async def test_a_body_that_comes_in_pieces_is_taken(attacked: Served) -> None:
    async with connected(attacked) as raw:
        await raw.send(post(attacked, b"Content-Type: application/json", b"Content-Length: %d" % len(BODY)))
        for byte in BODY:
            await raw.send(b"%c" % byte)
            await asyncio.sleep(0)
        assert (await raw.answer())[0] == 201


@pytest.mark.parametrize(
    "sent", [b"", b"GET /jobbergate/health HTTP/1.1\r\nHost: x\r\nX: "], ids=["nothing", "half a head"]
)
async def test_a_head_that_does_not_come_in_time_is_given_up(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", SECONDS)
    served = await make_app()
    async with connected(served) as raw:
        await raw.send(sent)
        assert await raw.rest() == b""
    async with connected(served) as raw:
        await raw.send(HEALTH)
        assert (await raw.answer())[0] == 204
        await raw.send(sent)
        assert await raw.rest() == b""


async def test_heads_that_never_end_keep_nobody_from_being_served(attacked: Served) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", attacked.server.port) for _ in range(200)]
    for _, writer in opened:
        writer.write(b"GET /jobbergate/health HTTP/1.1\r\nHost: x\r\nX: ")
    async with attacked.client_as().get("/jobbergate/job-scripts") as response:
        assert response.status == 200
    for _, writer in opened:
        writer.transport.abort()


async def test_requests_that_are_sent_at_once_are_answered_in_their_order(attacked: Served) -> None:
    async with connected(attacked) as raw:
        await raw.send(HEALTH * 500 + b"GET /jobbergate/nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert [(await raw.answer())[0] for _ in range(501)] == [204] * 500 + [404]
        assert await raw.rest() == b""


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://evil.example.com/jobbergate/health HTTP/1.1", 204),
        (b"GET //jobbergate/health HTTP/1.1", 404),
        (b"GET /jobbergate/../jobbergate/health HTTP/1.1", 404),
        (b"GET /jobbergate/docs/..%2f..%2fpyproject.toml HTTP/1.1", 404),
        (b"GET /jobbergate/docs/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        (b"GET /jobbergate/docs/start.js%00.css HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"CONNECT evil.example.com:443 HTTP/1.1", 404),
        (b"GET /jobbergate/health?" + b"&a=b" * 2000 + b" HTTP/1.1", 204),
        (b"GET /jobbergate/%zz HTTP/1.1", 404),
        (b"GET / HTTP/1.0", 404),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_request_line_leads_to_routes_alone(attacked: Served, line: bytes, status: int) -> None:
    async with connected(attacked) as raw:
        await raw.send(line + b"\r\nHost: x\r\n\r\n")
        found, _, body = await raw.answer()
        assert found == status
        assert status == 204 or body == {"detail": "Not Found"}


@pytest.mark.parametrize("path", [b"//evil.example.com/", b"/jobbergate/health//evil.example.com/", b"/%0d%0aX:%20y/"])
async def test_no_redirect_leads_elsewhere(attacked: Served, path: bytes) -> None:
    async with connected(attacked) as raw:
        await raw.send(b"GET " + path + b" HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
        status, headers, _ = await raw.answer()
        assert status == 404
        assert "location" not in headers
        await raw.send(b"GET /jobbergate/health/ HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
        status, headers, _ = await raw.answer()
        assert (status, headers["location"]) == (308, "/jobbergate/health")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this is not Linux")
async def test_who_reads_nothing_of_an_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "UNREAD_SECONDS", 1)
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(2**16))
        finally:
            ended.set()

    app = web.Application()
    app.router.add_get("/", endless)
    runner = connections.Runner(app)
    await runner.setup()
    try:
        sock = processes.listen(Server(port=0))
        await web.SockSite(runner, sock).start()
        with socket.create_connection(sock.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
    finally:
        await runner.cleanup()
