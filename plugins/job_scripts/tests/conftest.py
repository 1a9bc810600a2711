"""What the tests of job scripts share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiohttp import FormData

from jobbergate_applications.models import Application
from jobbergate_job_scripts.models import JobScript
from jobbergate_server.http.keys import DATABASE

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served

URL = "/jobbergate/job-scripts"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Add(Protocol):
    """Adds a job script without files of owner@example.com, or of another client's owner; the answered row."""

    async def __call__(self, client: Client | None = None, /, **body: object) -> dict[str, Any]:
        """``body`` is what the client sends, with a name unless it has one."""


class AddWithFile(Protocol):
    """Adds a job script with the file main.sh of owner@example.com; its row, as it is read."""

    async def __call__(self, **body: object) -> dict[str, Any]:
        """``body`` is what the client sends, with a name unless it has one."""


class AddMade(Protocol):
    """Adds a job script of owner@example.com that was made from an application; both ids."""

    async def __call__(self, **columns: Any) -> tuple[int, int]:  # noqa: ANN401 - whatever a column holds
        """``columns`` are the job script's own."""


@pytest.fixture
def add(call: Call) -> Add:
    async def add(client: Client | None = None, /, **body: object) -> dict[str, Any]:
        status, row = await call("POST", URL, client, json={"job_script_name": "script", **body})
        assert status == 201, row
        assert isinstance(row, dict)
        return row

    return add


@pytest.fixture
def add_with_file(add: Add, call: Call) -> AddWithFile:
    async def add_with_file(**body: object) -> dict[str, Any]:
        path = f"{URL}/{(await add(**body))['id']}"
        form = FormData()
        form.add_field("job_script_file", b"#!/bin/bash\nhostname\n", filename="main.sh", content_type="text/plain")
        assert (await call("POST", f"{path}/upload", data=form))[0] == 200
        status, row = await call("GET", path)
        assert status == 200
        assert isinstance(row, dict)
        return row

    return add_with_file


@pytest.fixture
def add_made(served: Served) -> AddMade:
    """Written to the database as it is: rendering is not what these tests are about."""

    async def add_made(**columns: Any) -> tuple[int, int]:  # noqa: ANN401 - whatever a column holds
        with served.app[DATABASE].bound():
            application = await Application.create(
                created_at=MOMENT,
                updated_at=MOMENT,
                application_name="the application",
                application_owner_email="other@example.com",
            )
            given = {"job_script_name": "made", "job_script_owner_email": "owner@example.com", **columns}
            script = await JobScript.create(created_at=MOMENT, updated_at=MOMENT, application=application, **given)
            return script.id, application.id

    return add_made
