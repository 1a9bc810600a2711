"""The list of job submissions: which it shows, its filters, what it searches and what it sorts by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobbergate_job_submissions.models import JobSubmission
from jobbergate_server.http.keys import DATABASE

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served
    from plugins.job_submissions.tests.conftest import Add, AddScript

URL = "/jobbergate/job-submissions"
SORTABLE = (
    "['id', 'job_submission_name', 'job_submission_owner_email', 'job_script_id', 'slurm_job_id', 'client_id', "
    "'created_at', 'updated_at', 'status']"
)
STATUSES = ["CREATED", "SUBMITTED", "COMPLETED", "FAILED", "UNKNOWN", "REJECTED"]


async def names(call: Call, client: Client | None = None, **params: object) -> list[str]:
    """The names in the list, in its order."""
    status, page = await call("GET", URL, client, params=params)
    assert status == 200
    return [row["job_submission_name"] for row in page["results"]]


async def set_columns(served: Served, name: str, **columns: object) -> None:
    """Write what only agents write."""
    with served.app[DATABASE].bound():
        assert await JobSubmission.filter(job_submission_name=name).update(**columns) == 1


async def test_ones_own_are_shown(add: Add, call: Call, served: Served) -> None:
    await add(job_submission_name="own")
    await add(served.client_as(email="other@example.com"), job_submission_name="other's")
    assert await names(call) == ["own"]
    assert await names(call, all="false") == ["own"]
    assert await names(call, all="true") == ["own", "other's"]
    assert await names(call, served.client_as(email="other@example.com")) == ["other's"]
    assert await names(call, served.client_as(email="Owner@example.com")) == []
    assert await names(call, served.client_as(email=None)) == []
    assert await names(call, served.client_as(email=None), all=1) == ["own", "other's"]


async def test_rows_are_those_of_the_create_answer(add: Add, call: Call) -> None:
    row = await add(execution_parameters={"tasks": 4, "environment": {"z": "1", "a": "2"}})
    (listed,) = (await call("GET", URL))[1]["results"]
    assert listed == row
    assert list(listed) == list(row)
    assert list(listed["execution_parameters"]) == list(row["execution_parameters"])


async def test_it_can_be_narrowed_to_a_status(add: Add, call: Call) -> None:
    for status in STATUSES:
        row = await add(job_submission_name=status)
        await call("PUT", f"{URL}/{row['id']}", json={"status": status})
    for status in STATUSES:
        assert await names(call, submit_status=status) == [status]


@pytest.mark.parametrize("status", ["", "created", "DONE", "CREATED,FAILED", "null"])
async def test_a_status_is_one_of_six_words(call: Call, status: str) -> None:
    permitted = ", ".join(f"'{status}'" for status in STATUSES)
    entry = {
        "loc": ["query", "submit_status"],
        "msg": f"value is not a valid enumeration member; permitted: {permitted}",
        "type": "type_error.enum",
        "ctx": {"enum_values": STATUSES},
    }
    assert await call("GET", URL, params={"submit_status": status}) == (422, {"detail": [entry]})


async def test_it_can_be_narrowed_to_jobs_of_slurm(add: Add, call: Call, served: Served) -> None:
    for name, job_id in (("zero", 0), ("five", 5), ("none", None), ("last", 2**31 - 1)):
        await add(job_submission_name=name)
        await set_columns(served, name, slurm_job_id=job_id)
    expected = {
        "5": ["five"],
        " 5 , 05,+5": ["five"],
        "0,5": ["zero", "five"],
        "5,77": ["five"],
        str(2**31 - 1): ["last"],
        "77": [],
        "-1": [],
        f"{2**31},{10**30}": [],
        f"5,{2**31},-{10**30}": ["five"],
        "": ["zero", "five", "none", "last"],
    }
    for text, found in expected.items():
        assert await names(call, slurm_job_ids=text) == found, text


@pytest.mark.parametrize("text", [" ", ",", "5,", ",5", "5,,6", "x", "5 6", "5;6", "1.0", "[5]", "9" * 5000])
async def test_job_ids_are_integers_with_commas_between(call: Call, text: str) -> None:
    detail = "Invalid slurm_job_ids param. Must be a comma-separated list of integers"
    assert await call("GET", URL, params={"slurm_job_ids": text}) == (422, {"detail": detail})


async def test_a_thousand_job_ids_can_be_asked_for(add: Add, call: Call) -> None:
    await add()
    assert await names(call, slurm_job_ids=",".join(map(str, range(1000)))) == []


async def test_it_can_be_narrowed_to_a_job_script(add: Add, add_script: AddScript, call: Call) -> None:
    await add(job_submission_name="first")
    other = await add_script(name="another")
    await add(job_submission_name="second", job_script_id=other)
    assert await names(call, from_job_script_id=other) == ["second"]
    assert await names(call, from_job_script_id=0) == []
    assert await names(call, from_job_script_id=999) == []


async def test_the_id_of_a_job_script_is_an_int4(call: Call) -> None:
    loc = ["query", "from_job_script_id"]
    not_integer = {"loc": loc, "msg": "value is not a valid integer", "type": "type_error.integer"}
    too_large = {
        "loc": loc,
        "msg": "ensure this value is less than or equal to 2147483647",
        "type": "value_error.number.not_le",
        "ctx": {"limit_value": 2**31 - 1},
    }
    assert await call("GET", URL, params={"from_job_script_id": ""}) == (422, {"detail": [not_integer]})
    assert await call("GET", URL, params={"from_job_script_id": str(2**31)}) == (422, {"detail": [too_large]})


async def test_filters_are_joined(add: Add, call: Call, served: Served) -> None:
    for name in ("one", "two", "three"):
        await add(job_submission_name=name)
    await set_columns(served, "one", slurm_job_id=1, status="SUBMITTED")
    await set_columns(served, "two", slurm_job_id=2, status="SUBMITTED")
    assert await names(call, submit_status="SUBMITTED", slurm_job_ids="2,3") == ["two"]
    assert await names(call, submit_status="SUBMITTED", search="one three") == ["one"]


@pytest.mark.parametrize("word", ["needle-name", "needle-description", "needle-owner@example.com", "needle-cluster"])
async def test_four_fields_are_searched(add: Add, call: Call, served: Served, word: str) -> None:
    await add(job_submission_description=None)
    await add(
        served.client_as(email="needle-owner@example.com"),
        job_submission_name="the needle-name",
        job_submission_description="the needle-description",
        client_id="the-needle-cluster",
    )
    assert await names(call, search=word, all=1) == ["the needle-name"]
    assert await names(call, search=f"nothing {word.upper()}", all=1) == ["the needle-name"]
    assert await names(call, search=word) == []


async def test_the_name_of_the_job_script_is_not_searched(add: Add, call: Call) -> None:
    await add()
    assert await names(call, search="script") == []


@pytest.mark.parametrize("field", ["id", "job_submission_name", "client_id", "created_at", "updated_at"])
async def test_it_can_be_sorted(add: Add, call: Call, field: str) -> None:
    for name in ("a", "b", "c"):
        await add(job_submission_name=name, client_id=name)
    assert await names(call, sort_field=field) == ["a", "b", "c"]
    assert await names(call, sort_field=field, sort_ascending="false") == ["c", "b", "a"]


async def test_it_can_be_sorted_by_what_others_set(add: Add, add_script: AddScript, call: Call, served: Served) -> None:
    await add(job_submission_name="first", job_script_id=await add_script())
    await add(served.client_as(email="a@example.com"), job_submission_name="second")
    await add(job_submission_name="third")
    await set_columns(served, "first", slurm_job_id=7, status="SUBMITTED")
    await set_columns(served, "third", slurm_job_id=6, status="COMPLETED", job_script_id=None)
    assert await names(call, all=1, sort_field="job_submission_owner_email") == ["second", "first", "third"]
    assert await names(call, all=1, sort_field="job_script_id") == ["second", "first", "third"]
    assert await names(call, all=1, sort_field="slurm_job_id") == ["third", "first", "second"]
    assert await names(call, all=1, sort_field="slurm_job_id", sort_ascending=0) == ["second", "first", "third"]
    assert await names(call, all=1, sort_field="status") == ["third", "second", "first"]


async def test_a_row_without_parameters_shows_none(add: Add, call: Call, served: Served) -> None:
    row = await add(job_submission_name="bare")
    await set_columns(served, "bare", execution_parameters=None)
    (listed,) = (await call("GET", URL))[1]["results"]
    assert listed == {**row, "execution_parameters": None}
    assert (await call("GET", f"{URL}/{row['id']}"))[1] == listed


@pytest.mark.parametrize("field", ["", "job_script_name", "execution_parameters", "report_message"])
async def test_only_some_fields_can_be_sorted_by(call: Call, field: str) -> None:
    detail = f"Invalid sorting column requested: {field}. Must be one of {SORTABLE}"
    assert await call("GET", URL, params={"sort_field": field}) == (400, {"detail": detail})
