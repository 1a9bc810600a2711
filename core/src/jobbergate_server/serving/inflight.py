"""Requests in flight, which a server waits for before it shuts down.

aiohttp's own shutdown waits for handlers, but stops reading from clients at once. The handler of an unfinished upload
would wait in vain for the rest.
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
        """Wait at most ``seconds`` until no request is in flight; each response now closes its connection."""
        self._is_ending = True
        self._notify()
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the request; as the first middleware, it counts every request."""
        self._number += 1
        try:
            response = await handler(request)
        finally:
            self._number -= 1
            self._notify()
        if self._is_ending:
            response.force_close()
        return response

    def _notify(self) -> None:
        if self._is_ending and not self._number:
            self._ended.set()


IN_FLIGHT: web.AppKey[InFlight] = web.AppKey("in_flight", InFlight)
