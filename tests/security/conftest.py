"""A server that is attacked, and that must tell all the while that it is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from promises import alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import MakeApp, Served


@pytest.fixture
async def attacked(make_app: MakeApp) -> AsyncIterator[Served]:
    """A server with samples."""
    served = await make_app(samples=True)
    async with alive(served):
        yield served
