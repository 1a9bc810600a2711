"""What the tests of all routes share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client


class Call(Protocol):
    """Sends a request as owner@example.com, or as another client; the status and the JSON of the answer."""

    async def __call__(self, method: str, path: str, client: Client | None = None, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's
        """``options`` are those of an aiohttp client, such as ``json`` and ``params``."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, as a third of the time goes into waiting for processes of the tests."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def call(api: Client) -> Call:
    async def call(method: str, path: str, client: Client | None = None, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - likewise
        response = await (client or api).request(method, path, **options)
        return response.status, await response.json() if response.content_type == "application/json" else None

    return call
