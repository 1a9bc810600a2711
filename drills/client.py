"""Requests to a server that may be away: an answer that does not come is an answer as well."""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import orjson

NO_ANSWER = 0
"""The status where none has come."""
PATIENCE = aiohttp.ClientTimeout(total=20)
"""Far more than an answer may take, so that one that never comes is seen."""
DEADLINE = 60
PAUSE = 0.02
GOOD = range(200, 300)
UNAVAILABLE = 503
NOT_FOUND = 404
PAGE = 1_000


class Answer(NamedTuple):
    """An answer: its status, its body, its `Retry-After`, and the seconds until all of it was there."""

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
        """Whether the server says that it cannot at the moment, and when it is worth another try."""
        return self.status == UNAVAILABLE and self.retry_after is not None

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body."""
        return orjson.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status or 'no answer'} {self.body[:200].decode(errors='replace')}".rstrip()


class Client:
    """Whoever holds ``token``; with ``reconnects`` each request has a connection of its own."""

    def __init__(self, url: str, token: str, *, reconnects: bool = False) -> None:
        self.url = url
        self._token = token
        self._reconnects = reconnects

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, force_close=self._reconnects)
        headers = {"Authorization": f"Bearer {self._token}"}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=PATIENCE)
        self._session._retry_connection = False  # noqa: SLF001 - aiohttp has no other way not to hide that an answer is lost
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
        """The answer to a request with a JSON body, another body, or none."""
        began = time.monotonic()
        try:
            async with self._session.request(method, self.url + path, json=json, data=data, **options) as response:
                body = await response.read()
                retry_after = response.headers.get("Retry-After")
                return Answer(response.status, body, retry_after, time.monotonic() - began)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Answer(NO_ANSWER, seconds=time.monotonic() - began)

    async def get(self, path: str, **query: str | int) -> Answer:
        """The answer to a GET."""
        return await self.ask("GET", path, params=query)

    async def post(self, path: str, json: object = None, data: object = None) -> Answer:
        """The answer to a POST."""
        return await self.ask("POST", path, json=json, data=data)

    async def put(self, path: str, json: object) -> Answer:
        """The answer to a PUT."""
        return await self.ask("PUT", path, json=json)

    async def delete(self, path: str) -> Answer:
        """The answer to a DELETE."""
        return await self.ask("DELETE", path)

    async def until_good(self, path: str) -> None:
        """Repeat a GET until it has a good answer.

        Raises:
            TimeoutError: It never has.
        """
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await self.get(path)
                if answer.is_good:
                    return
                await asyncio.sleep(PAUSE)

    async def rows(self, path: str) -> list[Mapping[str, Any]]:
        """All rows of a list, also those of others and archived ones."""
        found: list[Mapping[str, Any]] = []
        while len(found) % PAGE == 0:
            answer = await self.get(path, all="true", start=len(found) // PAGE, limit=PAGE, sort_field="id")
            page = answer.json["results"]
            if not page:
                break
            found += page
        return found

    async def get_all(self, paths: list[str], connections: int = 16) -> dict[str, Answer]:
        """The answers to a GET of each."""
        places = asyncio.Semaphore(connections)

        async def get(path: str) -> Answer:
            async with places:
                return await self.get(path)

        return dict(zip(paths, await asyncio.gather(*map(get, paths)), strict=True))
