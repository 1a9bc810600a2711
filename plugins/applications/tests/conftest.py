"""What the tests of applications share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client


class Add(Protocol):
    """Adds an application of owner@example.com, or of another client's owner; the answered row."""

    async def __call__(self, client: Client | None = None, /, **body: object) -> dict[str, Any]:
        """``body`` is what the client sends, with a name unless it has one."""


@pytest.fixture
def add(call: Call) -> Add:
    async def add(client: Client | None = None, /, **body: object) -> dict[str, Any]:
        status, row = await call("POST", "/jobbergate/applications", client, json={"application_name": "app", **body})
        assert status == 201, row
        assert isinstance(row, dict)
        return row

    return add
