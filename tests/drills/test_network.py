"""Networks of their own for servers: the reason where none can be made, and the relays between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from drills.network import NetworkError, network, relay, to

if TYPE_CHECKING:
    from pathlib import Path


def test_without_ip_no_network_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NetworkError, match=r"^ip is not installed$"), network(0):
        pass


def test_where_ip_refuses_its_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ip"
    program.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = r"^ip netns add jobbergate-drill-\d+-0: Operation not permitted$"
    with pytest.raises(NetworkError, match=reason), network(0):
        pass


async def test_a_relay_passes_on_what_is_sent_until_one_side_ends() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with relay("127.0.0.1", 0, to(url)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            assert await reader.read() == b"HELLO\n"
            writer.close()
            await writer.wait_closed()


async def test_a_relay_to_a_unix_socket_is_one_to_postgresql(tmp_path: Path) -> None:
    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    url = f"postgresql://somebody@/postgres?host={tmp_path}"
    async with (
        await asyncio.start_unix_server(greet, tmp_path / ".s.PGSQL.5432"),
        relay("127.0.0.1", 0, to(url)) as port,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
