"""What every answer of the server keeps to, whatever was sent."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from jobbergate_devkit.testing import Served

HEALTH = "/jobbergate/health"
KNOWN = ("<class 'str'>", "TypeError: the document is not an object with")
"""Classes that the wire has always named, in words that are the same whatever was sent."""
INSIDES = re.compile(
    r"Traceback|site-packages|/usr/|/tmp/|File \"|\bline \d+, in|<class|<\w+[ .]\w+ at|0x[0-9a-f]{6}"
    r"|\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE)\b"
    r"|sqlite|asyncpg|tortoise|marshmallow|aiohttp|orjson|\b[a-z]+Error\b",
    re.IGNORECASE,
)
"""What tells of code, SQL, paths or classes of the server."""


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    json: Any
    complaint: str | None
    """What is wrong with it, if anything is."""


async def answered(response: aiohttp.ClientResponse) -> Answer:
    """The answer, judged by what all answers keep to."""
    body = await response.read()
    is_json = response.content_type == "application/json"
    json = await response.json() if is_json and body else None
    return Answer(response.status, response.headers, json, _complaint(response.status, body, json))


def _complaint(status: int, body: bytes, json: object) -> str | None:
    if status >= 500:
        return f"{status} is the server's fault"
    if status < 400:
        return None
    if not isinstance(json, dict) or set(json) != {"detail"}:
        return f"{status} has not the form of an error: {body[:200]!r}"
    detail = json["detail"]
    entries = detail if isinstance(detail, list) else []
    if not isinstance(detail, str | list) or not all({"loc", "msg", "type"} <= set(entry) for entry in entries):
        return f"{status} has a detail that is neither a text nor a list of what is wrong: {body[:200]!r}"
    text = body.decode()
    for known in KNOWN:
        text = text.replace(known, "")
    if found := INSIDES.search(text):
        return f"{status} tells of the server's insides: {found[0]!r}"
    return None


@asynccontextmanager
async def alive(served: Served) -> AsyncIterator[None]:
    """Ask for the server's health all the while; each time it must tell in time that it is alive."""
    statuses: set[int] = set()
    asked = asyncio.Event()

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                async with session.get(served.server.make_url(HEALTH)) as response:
                    statuses.add(response.status)
                asked.set()
                await asyncio.sleep(0.02)  # not a wait: others must get their turn

    asking = asyncio.create_task(ask())
    try:
        yield
        asked.clear()
        await asyncio.wait({asking, waiting := asyncio.create_task(asked.wait())}, return_when="FIRST_COMPLETED")
        waiting.cancel()
        if asking.done():
            asking.result()
        assert statuses == {204}
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
