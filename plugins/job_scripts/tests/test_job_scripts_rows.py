"""Adding, reading, changing and deleting one job script; its files have tests of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wire import IMPOSSIBLE_IDS, NOT_STORABLE, NULL
from wire import JOB_SCRIPT_KEYS as KEYS

from jobbergate_applications.models import Application
from jobbergate_job_scripts.models import JobScript
from jobbergate_server.http.keys import DATABASE

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served
    from plugins.job_scripts.tests.conftest import Add, AddMade, AddWithFile

URL = "/jobbergate/job-scripts"
APPLICATIONS = "/jobbergate/applications"
FILES = {"main_file_path": "main.sh", "files": {"main.sh": "#!/bin/bash\nhostname\n"}}
NOT_TEXT = ("str type expected", "type_error.str")


def wrong(msg: str, kind: str, *loc: str | int, **ctx: object) -> tuple[int, dict[str, object]]:
    """The answer to a body with one error."""
    entry = {"loc": ["body", *loc], "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}
    return 422, {"detail": [entry]}


async def stored(served: Served, script_id: int) -> dict[str, Any]:
    """The columns of a job script as they are stored now."""
    with served.app[DATABASE].bound():
        (row,) = await JobScript.filter(id=script_id).values()
        return dict(row)


async def test_a_new_job_script_has_defaults_and_no_files(call: Call) -> None:
    status, row = await call("POST", URL, json={"job_script_name": "script"})
    moment = row["created_at"]
    assert (status, list(row)) == (201, KEYS)
    assert row == {
        "id": 1,
        "created_at": moment,
        "updated_at": moment,
        "job_script_name": "script",
        "job_script_description": "",
        "job_script_files": None,
        "job_script_owner_email": "owner@example.com",
        "application_name": None,
        "application_id": None,
        "is_archived": False,
    }


async def test_null_is_stored_where_it_may_be(add: Add) -> None:
    row = await add(job_script_description=None, application_id=None, sbatch_params=None, param_dict=None)
    assert (row["job_script_description"], row["application_id"]) == (None, None)


async def test_what_is_for_rendering_has_no_effect_without_an_application(add: Add) -> None:
    row = await add(sbatch_params=["-n 4", 5, ""], param_dict={"application_config": {"a": [1]}})
    assert row["job_script_files"] is None


async def test_a_client_cannot_send_what_is_the_servers(call: Call, add: Add, add_with_file: AddWithFile) -> None:
    moment = "2000-01-01T00:00:00"
    sent = {"id": 77, "created_at": moment, "updated_at": moment, "job_script_owner_email": "other@example.com"}
    row = await add(**sent, is_archived=True, job_script_files=FILES, application_name="x")
    assert not {key for key, value in sent.items() if row[key] == value}
    assert (row["is_archived"], row["job_script_files"], row["application_name"]) == (False, None, None)
    row = await add_with_file()
    sent |= {"application_id": 1, "application_name": "x"}
    changed = (await call("PUT", f"{URL}/{row['id']}", json=sent))[1]
    assert changed == {**row, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] != moment


async def test_without_an_email_nothing_is_created(call: Call, served: Served) -> None:
    nobody = served.client_as(email=None)
    expected = (403, {"detail": "A token without an e-mail address cannot own anything."})
    assert await call("POST", URL, nobody, json={"job_script_name": "script"}) == expected
    assert (await call("GET", URL, params={"all": "true"}))[1]["results"] == []


async def test_an_application_must_exist(call: Call) -> None:
    for number in (0, -1, 999, 2**31 - 1):
        expected = (404, {"detail": f"Application with id={number} not found."})
        assert await call("POST", URL, json={"job_script_name": "script", "application_id": number}) == expected


async def test_an_application_must_have_files(call: Call) -> None:
    application = (await call("POST", APPLICATIONS, json={"application_name": "app"}))[1]
    expected = (422, {"detail": f"Application with id={application['id']} was not uploaded."})
    body = {"job_script_name": "script", "application_id": application["id"]}
    assert await call("POST", URL, json=body) == expected
    assert (await call("GET", URL))[1]["pagination"]["total"] == 0


async def test_what_a_new_job_script_may_not_hold(call: Call) -> None:
    async def send(**body: object) -> tuple[int, Any]:
        return await call("POST", URL, json={"job_script_name": "script", **body})

    assert await call("POST", URL, json={}) == wrong("field required", "value_error.missing", "job_script_name")
    for value in (2**31, str(2**31), 10**30):
        assert await send(application_id=value) == wrong(
            "ensure this value is less than or equal to 2147483647",
            "value_error.number.not_le",
            "application_id",
            limit_value=2**31 - 1,
        )
    assert await send(application_id=-(2**31) - 1) == wrong(
        "ensure this value is greater than or equal to -2147483648",
        "value_error.number.not_ge",
        "application_id",
        limit_value=-(2**31),
    )
    assert await send(application_id="x") == wrong(
        "value is not a valid integer", "type_error.integer", "application_id"
    )
    assert await send(param_dict="{}") == wrong("value is not a valid dict", "type_error.dict", "param_dict")
    for bad in ({"a": "\0"}, {"\ud800": 1}, {"a": [{"b": "\udfff"}]}):
        assert await send(param_dict=bad) == wrong(*NOT_STORABLE, "param_dict")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_a_body_may_not_hold(call: Call, add_with_file: AddWithFile, method: str) -> None:
    path = f"{URL}/{(await add_with_file())['id']}" if method == "PUT" else URL

    async def send(**body: object) -> tuple[int, Any]:
        return await call(method, path, json={"job_script_name": "script", **body})

    assert await send(job_script_name=None) == wrong(*NULL, "job_script_name")
    for name, limit in (("job_script_name", 255), ("job_script_description", 65_536)):
        msg = f"ensure this value has at most {limit} characters"
        assert (await send(**{name: "😀" * limit}))[0] < 300
        assert await send(**{name: "😀" * (limit + 1)}) == wrong(
            msg, "value_error.any_str.max_length", name, limit_value=limit
        )
        assert await send(**{name: {}}) == wrong(*NOT_TEXT, name)
        for text in ("a\0", "\ud800", "a\udfff"):
            assert await send(**{name: text}) == wrong(*NOT_STORABLE, name)
    assert await send(sbatch_params="-n 4") == wrong("value is not a valid list", "type_error.list", "sbatch_params")
    assert await send(sbatch_params=["a", None]) == wrong(*NULL, "sbatch_params", 1)
    assert await send(sbatch_params=[{}]) == wrong(*NOT_TEXT, "sbatch_params", 0)
    assert await send(sbatch_params=["\0"]) == wrong(*NOT_STORABLE, "sbatch_params", 0)


async def test_a_job_script_is_read_with_its_files_and_its_application(
    call: Call, add_with_file: AddWithFile, served: Served
) -> None:
    row = await add_with_file(job_script_name="größe", job_script_description=None)
    viewer = served.client_as("jobbergate:job-scripts:view", email=None)
    status, found = await call("GET", f"{URL}/+0{row['id']}", viewer)
    assert (status, found, list(found)) == (200, row, KEYS)
    assert (found["job_script_files"], found["application_name"]) == (FILES, None)


async def test_a_job_script_without_files_cannot_be_read(call: Call, add: Add) -> None:
    row = await add()
    expected = (404, {"detail": f"JobScript file not found for id={row['id']}."})
    assert await call("GET", f"{URL}/{row['id']}") == expected


async def test_a_job_script_without_files_can_only_be_changed_with_them(call: Call, served: Served, add: Add) -> None:
    row = await add()
    before = await stored(served, row["id"])
    expected = (404, {"detail": f"File for JobScript with id={row['id']} not found in S3."})
    assert await call("PUT", f"{URL}/{row['id']}", json={"job_script_name": "new"}) == expected
    assert await call("PUT", f"{URL}/{row['id']}", json={"job_script_files": None}) == expected
    assert await stored(served, row["id"]) == before
    changed = (await call("PUT", f"{URL}/{row['id']}", json={"job_script_files": FILES}))[1]
    assert changed == {**row, "updated_at": changed["updated_at"], "job_script_files": FILES}
    assert changed["updated_at"] > row["updated_at"]


async def test_what_no_row_can_be_is_not_found(call: Call, served: Served) -> None:
    for number in IMPOSSIBLE_IDS:
        expected = (404, {"detail": f"JobScript with id={number} not found."})
        assert await call("GET", f"{URL}/{number}") == expected
        expected = (404, {"detail": f"Could not find job_scripts instance with id {number}"})
        for method in ("PUT", "DELETE"):
            assert await call(method, f"{URL}/{number}", json={}) == expected
            assert await call(method, f"{URL}/{number}", served.client_as(email=None), json={}) == expected


async def test_an_id_is_an_integer(call: Call) -> None:
    entry = {"loc": ["path", "job_script_id"], "msg": "value is not a valid integer", "type": "type_error.integer"}
    for method in ("GET", "PUT", "DELETE"):
        for text in ("x", "1.0", "a%00"):
            assert await call(method, f"{URL}/{text}", json={}) == (422, {"detail": [entry]})


async def test_only_what_is_sent_is_changed(call: Call, add_with_file: AddWithFile) -> None:
    row = await add_with_file(job_script_description="x")
    changes: list[dict[str, object]] = [
        {},
        {"job_script_name": "new"},
        {"is_archived": True},
        {"job_script_description": None},
        {"sbatch_params": ["-n 4"], "param_dict": "text"},
        {"sbatch_params": None, "param_dict": None, "job_script_files": None},
    ]
    for change in changes:
        status, changed = await call("PUT", f"{URL}/{row['id']}", json=change)
        visible = {key: value for key, value in change.items() if key in KEYS and key != "job_script_files"}
        expected = {**row, **visible, "updated_at": changed["updated_at"]}
        assert (status, changed, list(changed)) == (200, expected, KEYS)
        assert changed["updated_at"] > row["updated_at"]
        assert (await call("GET", f"{URL}/{row['id']}"))[1] == changed
        row = changed


async def test_what_a_change_may_not_hold(call: Call, add_with_file: AddWithFile) -> None:
    path = f"{URL}/{(await add_with_file())['id']}"
    assert await call("PUT", path, json={"is_archived": None}) == wrong(*NULL, "is_archived")
    not_boolean = wrong("value could not be parsed to a boolean", "type_error.bool", "is_archived")
    assert await call("PUT", path, json={"is_archived": ""}) == not_boolean
    assert await call("PUT", path, json={"param_dict": {}}) == wrong(*NOT_TEXT, "param_dict")


async def test_an_answer_to_a_change_names_the_application(call: Call, add_made: AddMade) -> None:
    script_id, application_id = await add_made()
    row = (await call("PUT", f"{URL}/{script_id}", json={"job_script_files": FILES}))[1]
    assert (row["application_name"], row["application_id"]) == ("the application", application_id)
    assert (await call("GET", f"{URL}/{script_id}"))[1] == row


async def test_only_the_owner_changes_and_deletes(call: Call, served: Served, add: Add) -> None:
    row = await add()
    before = await stored(served, row["id"])
    for me in ("other@example.com", "Owner@example.com", None):
        detail = (
            f"User {me} does not own job_script with id={row['id']}. "
            "Only the job_script owner (owner@example.com) can modify this job_script."
        )
        for method in ("PUT", "DELETE"):
            client = served.client_as(email=me)
            assert await call(method, f"{URL}/{row['id']}", client, json={}) == (403, {"detail": detail})
    assert await stored(served, row["id"]) == before


async def test_a_deleted_job_script_is_gone(call: Call, add: Add) -> None:
    row, other = await add(), await add()
    assert await call("DELETE", f"{URL}/{row['id']}") == (204, None)
    assert (await call("GET", URL))[1]["results"] == [other]
    expected = (404, {"detail": f"Could not find job_scripts instance with id {row['id']}"})
    assert await call("DELETE", f"{URL}/{row['id']}") == expected


@pytest.mark.parametrize("query", ["/{id}", "?identifier=the-application"])
async def test_a_job_script_outlives_its_application(
    call: Call, served: Served, add: Add, add_made: AddMade, query: str
) -> None:
    unconcerned = await add()
    script_id, application_id = await add_made()
    with served.app[DATABASE].bound():
        await Application.filter(id=application_id).update(application_identifier="the-application")
    owner = served.client_as(email="other@example.com")
    assert (await call("DELETE", APPLICATIONS + query.format(id=application_id), owner))[0] == 204
    untouched, orphan = (await call("GET", URL))[1]["results"]
    assert untouched == unconcerned
    assert (orphan["id"], orphan["application_id"], orphan["application_name"]) == (script_id, None, None)
    assert orphan["updated_at"] > orphan["created_at"] == "2026-01-02T03:04:05"


async def test_no_body_is_the_servers_fault(call: Call, add_with_file: AddWithFile) -> None:
    path = f"{URL}/{(await add_with_file())['id']}"
    odd: list[object] = [None, "", "\0", "\ud800", 0, -1, 10**30, 1e308, True, [], [[]], {}, {"a": {}}, "x" * 70_000]
    names = [
        "job_script_name",
        "job_script_description",
        "application_id",
        "sbatch_params",
        "param_dict",
        "is_archived",
        "job_script_files",
    ]
    for name in names:
        for value in odd:
            assert (await call("PUT", path, json={name: value}))[0] < 500, (name, value)
            assert (await call("POST", URL, json={"job_script_name": "a", name: value}))[0] < 500, (name, value)
