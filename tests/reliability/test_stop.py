"""What becomes of requests that are under way when the server is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.request import Request

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from commands import printed
from patience import PATIENCE
from ports import unused_port
from processes import Server, answers, developing, fetch, origin, running

from jobbergate_server.serving.inflight import InFlight

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS = "/jobbergate/job-scripts"
BOUNDARY = "boundary"
HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="job_script_file"; filename="job.sh"\r\n'
    "Content-Type: text/plain\r\n\r\n"
)
HELD_UP = """
import asyncio
import sys
from aiohttp import web
from jobbergate_server.serving import processes
from jobbergate_server.settings import Server

async def never_ends(_):
    if sys.argv[1] == "start":
        await held_up()
    yield
    await asyncio.Event().wait()

async def held_up(_=None):
    print("is there", flush=True)
    if sys.argv[1] == "start":
        await asyncio.Event().wait()

def build():
    app = web.Application()
    app.cleanup_ctx.append(never_ends)
    return app

processes.STOP_SECONDS = 0.1
processes.serve(build, processes.listen(Server(port=0)), announce=held_up)
"""
BODY = f"{HEAD}#!/bin/sh\nhostname\n\r\n--{BOUNDARY}--\r\n".encode()


def sent(connection: socket.socket, method: str, path: str, token: str, *headers: str) -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())


def received(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        part = connection.recv(2**16)
        assert part, found
        found += part
    return found


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server, which is the provider of the servers in its folder."""
    with developing(tmp_path_factory.mktemp("dev"), "--no-samples") as server:
        yield server


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_upload_that_is_under_way_ends_well_and_the_server_then(
    dev: Server,
    workers: int,
    whole_group: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    port = unused_port()
    url, address = f"http://127.0.0.1:{port}", ("127.0.0.1", port)
    arguments = ("serve", "--port", str(port), "--workers", str(workers))
    with running(dev.folder, *arguments, JOBBERGATE_OIDC__ISSUER=f"{origin(dev)}/oidc") as server:
        server.wait_for(lambda: answers(url))
        token = printed(dev.folder, "token").strip()
        upload = f"{SCRIPTS}/{added(url, token)}/upload"
        with socket.create_connection(address, PATIENCE) as connection:
            form = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
            size = f"Content-Length: {len(BODY)}"
            sent(connection, "POST", upload, token, form, size, "Expect: 100-continue")
            assert received(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            connection.sendall(BODY[:100])
            if whole_group:
                os.killpg(server.process.pid, signal.SIGTERM)
            else:
                server.process.send_signal(signal.SIGTERM)
            server.wait_for(lambda: not listens(address))
            connection.sendall(BODY[100:])
            answer = received(connection, b"}")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in answer.lower()
        assert server.process.wait(PATIENCE) == 0
        assert server.leaves_nobody_behind()


def added(url: str, token: str) -> int:
    """The id of a new job script."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(url + SCRIPTS, json.dumps({"job_script_name": "a"}).encode(), headers)  # noqa: S310 - a URL of this test
    with fetch(request, timeout=PATIENCE) as response:
        script_id: int = json.loads(response.read())["id"]
        return script_id


def listens(address: tuple[str, int]) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(address, PATIENCE):
        return True
    return False


@pytest.mark.parametrize("when", ["start", "end"])
def test_what_holds_a_server_up_does_not_hold_up_its_end(when: str) -> None:
    command = [sys.executable, "-c", HELD_UP, when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the script above
        assert process.stdout
        while process.stdout.readline() != "is there\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "shutdown timed out" in process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 1


async def test_a_request_that_does_not_end_is_given_up_after_a_time() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        await ended.wait()
        return web.Response()

    requests = InFlight()
    app = web.Application(middlewares=[requests.middleware])
    app.router.add_get("/", handler)
    async with TestServer(app) as server, ClientSession() as client:
        answer = asyncio.create_task(client.get(server.make_url("/")))
        await begun.wait()
        await requests.end(0.01)
        assert not answer.done()
        ended.set()
        await requests.end(PATIENCE)
        async with await answer as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
