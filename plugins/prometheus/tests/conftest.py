"""A server with metrics, and what Prometheus reads of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession
from ports import unused_port
from scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import MakeApp, Served


class Site:
    """A server with metrics."""

    def __init__(self, served: Served, port: int, http: ClientSession) -> None:
        self.served = served
        self.port = port
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.anyone = served.client()
        self._http = http

    async def scrape(self) -> Scrape:
        """What Prometheus is answered."""
        return Scrape((await self.answer(self.url))[2])

    async def answer(self, url: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, content type and text of an answer."""
        async with self._http.request(method, url, headers=headers) as response:
            return response.status, response.headers["Content-Type"], await response.text()


class MakeSite:
    """Starts servers with metrics."""

    def __init__(self, make_app: MakeApp, http: ClientSession) -> None:
        self._make_app = make_app
        self._http = http

    async def __call__(self, port: int | None = None) -> Site:
        """The port is any that is free, unless one is named."""
        port = port or unused_port()
        return Site(await self._make_app(settings={"plugins": {"prometheus": {"port": port}}}), port, self._http)


@pytest.fixture
async def make_site(make_app: MakeApp) -> AsyncIterator[MakeSite]:
    async with ClientSession() as http:
        yield MakeSite(make_app, http)


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    return await make_site()
