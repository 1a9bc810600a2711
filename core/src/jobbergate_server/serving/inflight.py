"""The requests that are being answered, which a server waits for before it ends.

aiohttp's own shutdown waits for handlers, but drops from its beginning whatever clients are still sending: the handler
of an upload that is under way would wait for the rest of it in vain.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler


class InFlight:
    """The requests in flight of one application."""

    def __init__(self) -> None:
        self._number = 0
        self._is_ending = False
        self._ended = asyncio.Event()

    async def end(self, seconds: float) -> None:
        """Wait until all are answered, or for so many seconds; from now on a connection ends with its answer."""
        self._is_ending = True
        self._tell()
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the request; first of all middlewares, so that every request is counted."""
        self._number += 1
        try:
            response = await handler(request)
        finally:
            self._number -= 1
            self._tell()
        if self._is_ending:
            response.force_close()
        return response

    def _tell(self) -> None:
        if self._is_ending and not self._number:
            self._ended.set()


IN_FLIGHT: web.AppKey[InFlight] = web.AppKey("in_flight", InFlight)
