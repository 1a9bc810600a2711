"""A line to PostgreSQL that can be cut: what a server sees of a database whose machine has gone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = 2**16


class Line:
    """A TCP proxy in front of the PostgreSQL server of a URL; ``url`` leads through it."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._flows = asyncio.Event()
        self._flows.set()
        self.url = ""

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to PostgreSQL itself, by TCP or by its Unix socket."""
        port = self._parts.port or 5432
        if folder := parse_qs(self._parts.query).get("host"):
            return await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._parts.hostname, port)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to PostgreSQL until one of them ends it, or the line is cut."""
        if self._is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await self._open()
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        finally:
            self._ends -= ends

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """All connections break, and none can be opened until the end."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()
        try:
            yield
        finally:
            self._is_cut = False

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Nothing gets through until the end, and nobody is told."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(SIZE):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def line(url: str) -> AsyncIterator[Line]:
    """A line to the PostgreSQL server of ``url``."""
    it = Line(url)
    server = await asyncio.start_server(it.accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    it.url = parts._replace(netloc=f"{user}@{host}:{port}", query="").geturl()
    async with server:
        yield it
