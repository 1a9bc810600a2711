"""Repeats of a POST with the same key: it is done once, and answered the same."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import FormData

from jobbergate_server import DATABASE
from jobbergate_server.database.models import IdempotencyKey
from jobbergate_server.http.idempotency import purge

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp, Served

URL = "/jobbergate/job-scripts"
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
REUSED = {"detail": "The Idempotency-Key was used for another request."}
Answer = tuple[int, str, Any]


async def added(client: Client, name: str = "a", path: str = URL, **headers: str) -> Answer:
    async with client.post(path, json={"job_script_name": name}, headers=headers or KEY) as response:
        return response.status, response.headers["Content-Type"], await response.json()


async def total(client: Client) -> int:
    async with client.get(URL) as response:
        found: int = (await response.json())["pagination"]["total"]
        return found


async def age(served: Served, **time: float) -> None:
    """Make all answers that are kept older."""
    with served.app[DATABASE].bound():
        await IdempotencyKey.all().update(created_at=datetime.now(UTC) - timedelta(**time))


async def test_a_repeat_is_answered_the_same_and_does_nothing(api: Client) -> None:
    first = await added(api)
    assert first[0] == 201
    assert await added(api) == first
    assert await total(api) == 1


async def test_another_request_with_the_same_key_is_refused(api: Client) -> None:
    await added(api)
    for path, name in ((URL, "b"), (f"{URL}?a=b", "a")):
        assert await added(api, name, path) == (422, "application/json", REUSED)
    assert await total(api) == 1


async def test_keys_are_each_callers_own(api: Client, served: Served) -> None:
    other = served.client_as(email="other@example.com", sub="other")
    assert (await added(api))[2]["id"] != (await added(other))[2]["id"]
    assert (await added(api, **{"Idempotency-Key": '"another"'}))[2]["job_script_owner_email"] == "owner@example.com"
    async with api.get(URL, params={"all": "true"}) as response:
        assert (await response.json())["pagination"]["total"] == 3


async def test_without_a_key_a_repeat_is_a_request_of_its_own(api: Client) -> None:
    for _ in range(2):
        async with api.post(URL, json={"job_script_name": "a"}) as response:
            assert response.status == 201
    assert await total(api) == 2


async def test_fifty_repeats_at_once_on_two_servers_make_one_row(api: Client, make_app: MakeApp) -> None:
    other = (await make_app()).client_as()
    answers = await asyncio.gather(*(added(it) for _ in range(25) for it in (api, other)))
    assert answers == [answers[0]] * 50
    assert answers[0][0] == 201
    assert await total(other) == 1


async def test_an_answer_outlives_the_process_and_is_kept_for_a_day(served: Served, make_app: MakeApp) -> None:
    first = await added(served.client_as())
    await age(served, hours=23, minutes=59)
    restarted = (await make_app()).client_as()
    assert await added(restarted) == first
    await age(served, hours=24)
    again = await added(restarted, "b")
    assert (again[0], again[2]["job_script_name"]) == (201, "b")
    assert await total(restarted) == 2


async def test_what_is_older_than_a_day_is_deleted(served: Served, api: Client) -> None:
    await added(api)
    database = served.app[DATABASE]
    for hours, left in ((23, 1), (24, 0)):
        await age(served, hours=hours)
        await purge(database)
        with database.bound():
            assert await IdempotencyKey.all().count() == left


async def test_a_request_that_fails_leaves_its_key_unused(api: Client) -> None:
    async with api.post(URL, json={"job_script_name": "a", "application_id": 1}, headers=KEY) as response:
        assert response.status == 404
    assert (await added(api))[0] == 201


def upload(content: bytes) -> FormData:
    form = FormData()
    form.add_field("job_script_file", content, filename="a.sh", content_type="text/plain")
    return form


async def test_an_upload_is_the_same_when_its_files_are(api: Client) -> None:
    await added(api, **{"Idempotency-Key": "first"})
    statuses = []
    for content in (b"#!/bin/sh\n", b"#!/bin/sh\n", b"#!/bin/bash\n"):
        async with api.post(f"{URL}/1/upload", data=upload(content), headers=KEY) as response:
            statuses.append(response.status)
    assert statuses == [200, 200, 422]


@pytest.mark.parametrize("key", ["", "a" * 256, "é", "a\tb"])
async def test_a_key_is_a_short_printable_text(api: Client, key: str) -> None:
    detail = "The header Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters."
    status, _, answer = await added(api, **{"Idempotency-Key": key})
    assert (status, answer) == (400, {"detail": detail})
    assert await total(api) == 0


async def test_two_keys_are_none(api: Client) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    async with api.post(URL, json={"job_script_name": "a"}, headers=headers) as response:
        assert response.status == 400


async def test_a_repeat_needs_the_permission_as_well(api: Client, served: Served) -> None:
    await added(api)
    viewer = served.client_as("jobbergate:job-scripts:view")
    assert (await added(viewer))[0] == 403
