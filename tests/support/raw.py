"""HTTP as bytes on a socket, for what no client library would send."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import Served


class Raw:
    """A connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, content: bytes) -> None:
        """Send the bytes; a server that has closed the connection does not take them."""
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The status, the headers and the JSON of the next answer."""
        async with asyncio.timeout(PATIENCE):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, json.loads(body) if body else None

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._reader.read()
        except ConnectionResetError:  # it was closed while there was more to be read
            return b""


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Raw]:
    """A new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
