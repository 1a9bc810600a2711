"""The list of job scripts: which it shows, what it searches and what it sorts by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wire import JOB_SCRIPT_KEYS as KEYS

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served
    from plugins.job_scripts.tests.conftest import Add, AddMade, AddWithFile

URL = "/jobbergate/job-scripts"
SORTABLE = "['id', 'job_script_name', 'job_script_owner_email', 'application_id', 'created_at', 'updated_at']"


async def names(call: Call, client: Client | None = None, **params: object) -> list[str]:
    """The names in the list, in its order."""
    status, page = await call("GET", URL, client, params=params)
    assert status == 200
    return [row["job_script_name"] for row in page["results"]]


@pytest.fixture
async def three(add: Add, add_made: AddMade, served: Served) -> None:
    """A job script, one of somebody else, and an archived one."""
    await add(job_script_name="own")
    await add(served.client_as(email="other@example.com"), job_script_name="other's")
    await add_made(job_script_name="archived", is_archived=True)


@pytest.mark.usefixtures("three")
async def test_ones_own_that_are_not_archived_are_shown(call: Call, served: Served) -> None:
    assert await names(call) == ["own"]
    assert await names(call, served.client_as(email="other@example.com")) == ["other's"]
    assert await names(call, served.client_as(email="Owner@example.com")) == []
    assert await names(call, served.client_as(email=None)) == []


@pytest.mark.usefixtures("three")
async def test_filters_widen_the_list(call: Call, served: Served) -> None:
    assert await names(call, all="true") == ["own", "other's"]
    assert await names(call, include_archived="true") == ["own", "archived"]
    assert await names(call, all=1, include_archived=1) == ["own", "other's", "archived"]
    assert await names(call, all="false", include_archived="false") == ["own"]
    assert await names(call, served.client_as(email=None), all=1) == ["own", "other's"]


async def test_it_can_be_narrowed_to_an_application(call: Call, add: Add, add_made: AddMade) -> None:
    await add(job_script_name="own")
    _, application_id = await add_made(job_script_name="first")
    await add_made(job_script_name="second")
    assert await names(call, from_application_id=application_id) == ["first"]
    assert await names(call, from_application_id=0) == []
    assert await names(call, from_application_id=-1) == []
    assert await names(call, from_application_id=999) == []


@pytest.mark.parametrize(
    ("value", "msg", "kind", "ctx"),
    [
        ("", "value is not a valid integer", "type_error.integer", None),
        ("x", "value is not a valid integer", "type_error.integer", None),
        (
            str(2**31),
            "ensure this value is less than or equal to 2147483647",
            "value_error.number.not_le",
            {"limit_value": 2**31 - 1},
        ),
    ],
)
async def test_the_id_of_an_application_is_an_int4(
    call: Call, value: str, msg: str, kind: str, ctx: dict[str, int] | None
) -> None:
    entry = {"loc": ["query", "from_application_id"], "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}
    assert await call("GET", URL, params={"from_application_id": value}) == (422, {"detail": [entry]})


async def test_rows_name_their_application_and_leave_out_their_files(
    call: Call, add_with_file: AddWithFile, add_made: AddMade
) -> None:
    own = await add_with_file()
    script_id, application_id = await add_made()
    first, second = (await call("GET", URL))[1]["results"]
    assert list(first) == KEYS
    assert first == {**own, "job_script_files": None}
    assert second == {
        "id": script_id,
        "created_at": "2026-01-02T03:04:05",
        "updated_at": "2026-01-02T03:04:05",
        "job_script_name": "made",
        "job_script_description": None,
        "job_script_files": None,
        "job_script_owner_email": "owner@example.com",
        "application_name": "the application",
        "application_id": application_id,
        "is_archived": False,
    }


@pytest.mark.parametrize("word", ["needle-name", "needle-description", "needle-owner@example.com"])
async def test_three_fields_are_searched(call: Call, add: Add, served: Served, word: str) -> None:
    await add(job_script_description=None)
    await add(
        served.client_as(email="needle-owner@example.com"),
        job_script_name="the needle-name",
        job_script_description="the needle-description",
    )
    assert await names(call, search=word, all=1) == ["the needle-name"]
    assert await names(call, search=f"nothing {word.upper()}", all=1) == ["the needle-name"]
    assert await names(call, search=word) == []


async def test_the_name_of_the_application_is_not_searched(call: Call, add_made: AddMade) -> None:
    await add_made()
    assert await names(call, search="the application") == []


@pytest.mark.parametrize("field", ["id", "job_script_name", "created_at", "updated_at"])
async def test_it_can_be_sorted(call: Call, add: Add, field: str) -> None:
    for name in ("a", "b", "c"):
        await add(job_script_name=name)
    assert await names(call, sort_field=field) == ["a", "b", "c"]
    assert await names(call, sort_field=field, sort_ascending="false") == ["c", "b", "a"]


async def test_it_can_be_sorted_by_application_and_owner(call: Call, add: Add, add_made: AddMade) -> None:
    await add(job_script_name="without")
    await add_made(job_script_name="first")
    await add_made(job_script_name="second", job_script_owner_email="a@example.com")
    assert await names(call, all=1, sort_field="application_id") == ["first", "second", "without"]
    descending = await names(call, all=1, sort_field="application_id", sort_ascending=0)
    assert descending == ["without", "second", "first"]
    assert await names(call, all=1, sort_field="job_script_owner_email") == ["second", "without", "first"]


@pytest.mark.parametrize("field", ["", "application_name", "job_script_files", "is_archived"])
async def test_only_some_fields_can_be_sorted_by(call: Call, field: str) -> None:
    detail = f"Invalid sorting column requested: {field}. Must be one of {SORTABLE}"
    assert await call("GET", URL, params={"sort_field": field}) == (400, {"detail": detail})
