"""JSON arrays that are sent while they are made: whole or visibly not, and only as far as somebody reads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer
from patience import PATIENCE

from jobbergate_server import NotFound, stream_json
from jobbergate_server.http.errors import error_middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def client_of(batches: AsyncGenerator[list[object], None]) -> AsyncIterator[Client]:
    """A client of a server that answers with the array of ``batches``."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_json(request, batches)

    app = web.Application(middlewares=[error_middleware])
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    "lists", [[], [[]], [[1]], [[], [1, "Ü"], [], [{"b": 1, "a": None}]]], ids=["none", "empty", "one", "several"]
)
async def test_all_batches_become_one_array(lists: list[list[object]]) -> None:
    async def batches() -> AsyncGenerator[list[object], None]:
        for items in lists:
            yield items

    async with client_of(batches()) as client, client.get("/") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert await response.json() == [item for items in lists for item in items]


async def test_what_the_first_batch_raises_is_answered() -> None:
    async def batches() -> AsyncGenerator[list[object], None]:
        raise NotFound("nothing")
        yield []

    async with client_of(batches()) as client, client.get("/") as response:
        assert (response.status, await response.json()) == (404, {"detail": "nothing"})


async def test_an_array_that_could_not_be_finished_is_not_taken_for_whole() -> None:
    async def batches() -> AsyncGenerator[list[object], None]:
        yield [1]
        raise NotFound("nothing")

    async with client_of(batches()) as client, client.get("/") as response:
        assert response.status == 200
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_nothing_more_is_made_when_the_client_has_gone() -> None:
    ended = asyncio.Event()

    async def batches() -> AsyncGenerator[list[object], None]:
        try:
            while True:
                yield ["x" * 100_000]
        finally:
            ended.set()

    async with client_of(batches()) as client:
        async with client.get("/") as response:
            await response.content.readexactly(1)
        await asyncio.wait_for(ended.wait(), PATIENCE)
