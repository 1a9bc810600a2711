"""What the tests of job submissions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiohttp import FormData

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client

SCRIPTS = "/jobbergate/job-scripts"
URL = "/jobbergate/job-submissions"


class AddScript(Protocol):
    """Adds a job script of owner@example.com; its id."""

    async def __call__(self, text: str = "#!/bin/bash\nhostname\n", name: str = "script") -> int:
        """``text`` is that of its main file."""


class Add(Protocol):
    """Adds a submission of owner@example.com, or of another client's owner; the answered row."""

    async def __call__(self, client: Client | None = None, /, **body: object) -> dict[str, Any]:
        """``body`` is what the client sends, with a name and a job script unless it has them."""


@pytest.fixture
def add_script(call: Call) -> AddScript:
    async def add_script(text: str = "#!/bin/bash\nhostname\n", name: str = "script") -> int:
        script_id = int((await call("POST", SCRIPTS, json={"job_script_name": name}))[1]["id"])
        form = FormData()
        form.add_field("job_script_file", text.encode(), filename="main.sh", content_type="text/plain")
        assert (await call("POST", f"{SCRIPTS}/{script_id}/upload", data=form))[0] == 200
        return script_id

    return add_script


@pytest.fixture
async def script_id(add_script: AddScript) -> int:
    """The id of a job script that sets no execution parameters."""
    return await add_script()


@pytest.fixture
def add(call: Call, script_id: int) -> Add:
    async def add(client: Client | None = None, /, **body: object) -> dict[str, Any]:
        body = {"job_submission_name": "submission", "job_script_id": script_id, **body}
        status, row = await call("POST", URL, client, json=body)
        assert status == 201, row
        assert isinstance(row, dict)
        return row

    return add
