"""Requests to a server that may be unavailable: a missing response is a result, too."""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import orjson

NO_ANSWER = 0
"""The status of a missing response."""
PATIENCE = aiohttp.ClientTimeout(total=20)
"""The timeout of a request, far above the allowed time of a response."""
DEADLINE = 60
"""Seconds until a repeated request must succeed."""
PAUSE = 0.02
"""Seconds between two requests of a repetition."""
GOOD = range(200, 300)
UNAVAILABLE = 503
NOT_FOUND = 404
PAGE = 1_000
"""Rows of a page."""


class Answer(NamedTuple):
    """A response: its status, its body, its `Retry-After`, and the seconds until its end."""

    status: int
    body: bytes = b""
    retry_after: str | None = None
    seconds: float = 0

    @property
    def is_good(self) -> bool:
        """Whether the status is 2xx."""
        return self.status in GOOD

    @property
    def asks_to_retry(self) -> bool:
        """Whether the response is 503 with `Retry-After`."""
        return self.status == UNAVAILABLE and self.retry_after is not None

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The parsed body."""
        return orjson.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status or 'no response'} {self.body[:200].decode(errors='replace')}".rstrip()


class Client:
    """A client with ``token``. With ``reconnects``, each request uses a new connection."""

    def __init__(self, url: str, token: str, *, reconnects: bool = False) -> None:
        self.url = url
        self._token = token
        self._reconnects = reconnects

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, force_close=self._reconnects)
        headers = {"Authorization": f"Bearer {self._token}"}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=PATIENCE)
        self._session._retry_connection = False  # noqa: SLF001 - aiohttp has no public way to report a lost response
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: object = None,
        **options: Any,  # noqa: ANN401 - aiohttp's options
    ) -> Answer:
        """Send a request with a JSON body, another body or no body, and return the response."""
        began = time.monotonic()
        try:
            async with self._session.request(method, self.url + path, json=json, data=data, **options) as response:
                body = await response.read()
                retry_after = response.headers.get("Retry-After")
                return Answer(response.status, body, retry_after, time.monotonic() - began)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Answer(NO_ANSWER, seconds=time.monotonic() - began)

    async def get(self, path: str, **query: str | int) -> Answer:
        """Send a GET, and return the response."""
        return await self.ask("GET", path, params=query)

    async def post(self, path: str, json: object = None, data: object = None) -> Answer:
        """Send a POST, and return the response."""
        return await self.ask("POST", path, json=json, data=data)

    async def put(self, path: str, json: object) -> Answer:
        """Send a PUT, and return the response."""
        return await self.ask("PUT", path, json=json)

    async def delete(self, path: str) -> Answer:
        """Send a DELETE, and return the response."""
        return await self.ask("DELETE", path)

    async def until_good(self, path: str) -> None:
        """Repeat a GET until the response is 2xx.

        Raises:
            TimeoutError: No response is 2xx before the deadline.
        """
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await self.get(path)
                if answer.is_good:
                    return
                await asyncio.sleep(PAUSE)

    async def rows(self, path: str) -> list[Mapping[str, Any]]:
        """Return all rows of a list, for all owners."""
        found: list[Mapping[str, Any]] = []
        while len(found) % PAGE == 0:
            answer = await self.get(path, all="true", start=len(found) // PAGE, limit=PAGE, sort_field="id")
            page = answer.json["results"]
            if not page:
                break
            found += page
        return found

    async def get_all(self, paths: list[str], connections: int = 16) -> dict[str, Answer]:
        """Send a GET for each path, and return the responses by path."""
        places = asyncio.Semaphore(connections)

        async def get(path: str) -> Answer:
            async with places:
                return await self.get(path)

        return dict(zip(paths, await asyncio.gather(*map(get, paths)), strict=True))
