"""Adding, reading, changing and deleting one job submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wire import IMPOSSIBLE_IDS, NOT_STORABLE, NULL, too_long, wrong

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served
    from plugins.job_submissions.tests.conftest import Add

URL = "/jobbergate/job-submissions"
SCRIPTS = "/jobbergate/job-scripts"
KEYS = [
    "id",
    "created_at",
    "updated_at",
    "job_submission_name",
    "job_submission_description",
    "job_submission_owner_email",
    "job_script_id",
    "execution_directory",
    "slurm_job_id",
    "client_id",
    "status",
    "report_message",
    "execution_parameters",
    "job_script_name",
]
STATUSES = ["CREATED", "SUBMITTED", "COMPLETED", "FAILED", "UNKNOWN", "REJECTED"]
PERMITTED = "'CREATED', 'SUBMITTED', 'COMPLETED', 'FAILED', 'UNKNOWN', 'REJECTED'"


async def read(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    """The row as it is stored now."""
    status, stored = await call("GET", f"{URL}/{row['id']}")
    assert status == 200
    return dict(stored)


async def test_a_new_submission_has_defaults(call: Call, script_id: int) -> None:
    status, row = await call("POST", URL, json={"job_submission_name": "submission", "job_script_id": script_id})
    moment, parameters = row["created_at"], row["execution_parameters"]
    assert (status, list(row)) == (201, KEYS)
    assert row == {
        "id": 1,
        "created_at": moment,
        "updated_at": moment,
        "job_submission_name": "submission",
        "job_submission_description": None,
        "job_submission_owner_email": "owner@example.com",
        "job_script_id": script_id,
        "execution_directory": None,
        "slurm_job_id": None,
        "client_id": "cluster",
        "status": "CREATED",
        "report_message": None,
        "execution_parameters": parameters,
        "job_script_name": "script",
    }
    assert {name for name, value in parameters.items() if value is not None} == {"get_user_environment"}


async def test_what_is_sent_is_stored(add: Add, call: Call) -> None:
    body = {
        "job_submission_name": "Größe 😀",
        "job_submission_description": " a\r\nb\t",
        "execution_directory": "/home/größe",
        "client_id": "other-cluster",
    }
    row = await add(**body)
    assert row | body == row
    assert await read(call, row) == row


async def test_null_is_as_good_as_nothing_where_it_may_be(add: Add) -> None:
    row = await add(job_submission_description=None, execution_directory=None, client_id=None)
    values = [row["job_submission_description"], row["execution_directory"], row["client_id"]]
    assert values == [None, None, "cluster"]


async def test_numbers_become_text_and_text_becomes_numbers(add: Add, script_id: int) -> None:
    row = await add(job_submission_name=5, job_submission_description=True, client_id=7, job_script_id=f" 0{script_id}")
    values = [row["job_submission_name"], row["job_submission_description"], row["client_id"], row["job_script_id"]]
    assert values == ["5", "True", "7", script_id]


async def test_the_client_id_is_the_tokens_unless_one_is_sent(add: Add, served: Served) -> None:
    assert (await add(client_id=""))["client_id"] == "cluster"
    assert (await add(client_id="x"))["client_id"] == "x"
    without = served.client_as(client_id=None)
    assert (await add(without, client_id="x"))["client_id"] == "x"


@pytest.mark.parametrize("client_id", [{}, {"client_id": None}, {"client_id": ""}], ids=["absent", "null", "empty"])
async def test_there_must_be_a_client_id(
    call: Call, served: Served, script_id: int, client_id: dict[str, str | None]
) -> None:
    body = {"job_submission_name": "submission", "job_script_id": script_id, **client_id}
    detail = "Could not find a client_id in the request body or auth token."
    assert await call("POST", URL, served.client_as(client_id=None), json=body) == (400, {"detail": detail})
    assert await call("POST", URL, served.client_as(client_id=""), json=body) == (400, {"detail": detail})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("/home/x/", "/home/x"),
        ("", "."),
        ("./a//b/.", "a/b"),
        ("/a/../b", "/a/../b"),
        ("..", ".."),
        (" /x", " /x"),
        ("/", "/"),
    ],
)
async def test_the_execution_directory_is_normalised(add: Add, call: Call, sent: str, kept: str) -> None:
    row = await add(execution_directory=sent)
    assert row["execution_directory"] == kept
    path = f"{URL}/{row['id']}"
    assert (await call("PUT", path, json={"execution_directory": None}))[1]["execution_directory"] is None
    assert (await call("PUT", path, json={"execution_directory": sent}))[1]["execution_directory"] == kept


async def test_a_client_cannot_send_what_is_the_servers(add: Add, call: Call) -> None:
    moment = "2000-01-01T00:00:00"
    sent = {
        "id": 77,
        "created_at": moment,
        "updated_at": moment,
        "job_submission_owner_email": "other@example.com",
        "slurm_job_id": 5,
        "report_message": "x",
        "job_script_name": "x",
    }
    row = await add(**sent, status="COMPLETED")
    assert not {key for key, value in sent.items() if row[key] == value}
    assert row["status"] == "CREATED"
    sent |= {"client_id": "x", "job_script_id": 99, "execution_parameters": {"account": "x"}}
    changed = (await call("PUT", f"{URL}/{row['id']}", json=sent))[1]
    assert changed == {**row, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] != moment


async def test_without_an_email_nothing_is_created(call: Call, served: Served, script_id: int) -> None:
    body = {"job_submission_name": "submission", "job_script_id": script_id}
    expected = (403, {"detail": "A token without an e-mail address cannot own anything."})
    assert await call("POST", URL, served.client_as(email=None), json=body) == expected
    assert (await call("GET", URL, params={"all": "true"}))[1]["results"] == []


async def test_anybodys_job_script_can_be_submitted(add: Add, served: Served) -> None:
    row = await add(served.client_as("jobbergate:job-submissions:edit", email="other@example.com"))
    assert (row["job_submission_owner_email"], row["job_script_name"]) == ("other@example.com", "script")


async def test_a_job_script_must_exist(call: Call) -> None:
    for number in (0, -1, 999, 2**31 - 1):
        body = {"job_submission_name": "submission", "job_script_id": number}
        expected = (404, {"detail": f"Could not find job_scripts instance with id {number}"})
        assert await call("POST", URL, json=body) == expected


async def test_a_job_script_must_have_a_main_file(call: Call) -> None:
    script_id = (await call("POST", SCRIPTS, json={"job_script_name": "script"}))[1]["id"]
    reason = "One and only one main file is expected for a job-script, found 0"
    expected = (422, {"detail": f"Error extracting execution parameters from job script: {reason}"})
    assert await call("POST", URL, json={"job_submission_name": "x", "job_script_id": script_id}) == expected


async def test_what_a_new_submission_may_not_hold(call: Call, script_id: int) -> None:
    async def send(**body: object) -> tuple[int, Any]:
        return await call("POST", URL, json={"job_submission_name": "x", "job_script_id": script_id, **body})

    missing = {"msg": "field required", "type": "value_error.missing"}
    detail = [{"loc": ["body", name], **missing} for name in ("job_submission_name", "job_script_id")]
    assert await call("POST", URL, json={}) == (422, {"detail": detail})
    name = "job_script_id"
    assert await send(job_script_id=None) == wrong(name, *NULL)
    assert await send(job_script_id="x") == wrong(name, "value is not a valid integer", "type_error.integer")
    le = "ensure this value is less than or equal to 2147483647"
    assert await send(job_script_id=2**31) == wrong(name, le, "value_error.number.not_le", limit_value=2**31 - 1)
    ge = "ensure this value is greater than or equal to -2147483648"
    assert await send(job_script_id=-(10**30)) == wrong(name, ge, "value_error.number.not_ge", limit_value=-(2**31))
    assert await send(client_id="😀" * 256) == too_long("client_id", 255)
    assert await send(client_id="\0") == wrong("client_id", *NOT_STORABLE)
    assert (await send(client_id="😀" * 255))[0] == 201


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_a_body_may_not_hold(call: Call, add: Add, script_id: int, method: str) -> None:
    path = f"{URL}/{(await add())['id']}" if method == "PUT" else URL

    async def send(**body: object) -> tuple[int, Any]:
        return await call(method, path, json={"job_submission_name": "x", "job_script_id": script_id, **body})

    assert await send(job_submission_name=None) == wrong("job_submission_name", *NULL)
    for name, limit in (
        ("job_submission_name", 255),
        ("job_submission_description", 65_536),
        ("execution_directory", 4_096),
    ):
        assert (await send(**{name: "😀" * limit}))[0] < 300
        assert await send(**{name: "😀" * (limit + 1)}) == too_long(name, limit)
        for text in ("a\0", "\ud800", "a\udfff"):
            assert await send(**{name: text}) == wrong(name, *NOT_STORABLE)
    not_path = ("value is not a valid path", "type_error.path")
    odd: list[object] = [5, True, [], {}]
    for value in odd:
        assert await send(execution_directory=value) == wrong("execution_directory", *not_path)


async def test_a_submission_is_read_by_everyone_with_the_permission(add: Add, call: Call, served: Served) -> None:
    row = await add()
    viewer = served.client_as("jobbergate:job-submissions:view", email=None)
    status, found = await call("GET", f"{URL}/+0{row['id']}", viewer)
    assert (status, found, list(found)) == (200, row, KEYS)


async def test_what_no_row_can_be_is_not_found(call: Call, served: Served) -> None:
    for number in IMPOSSIBLE_IDS:
        expected = (404, {"detail": f"JobSubmission with id={number} not found."})
        assert await call("GET", f"{URL}/{number}") == expected
        expected = (404, {"detail": f"Could not find job_submissions instance with id {number}"})
        for method in ("PUT", "DELETE"):
            assert await call(method, f"{URL}/{number}", json={}) == expected
            assert await call(method, f"{URL}/{number}", served.client_as(email=None), json={}) == expected


async def test_an_id_is_an_integer(call: Call) -> None:
    loc = ["path", "job_submission_id"]
    entry = {"loc": loc, "msg": "value is not a valid integer", "type": "type_error.integer"}
    for method in ("GET", "PUT", "DELETE"):
        for text in ("x", "1.0", "a%00"):
            assert await call(method, f"{URL}/{text}", json={}) == (422, {"detail": [entry]})


async def test_only_what_is_sent_is_changed(add: Add, call: Call) -> None:
    row = await add(execution_directory="/x", job_submission_description="x")
    changes: list[dict[str, object]] = [
        {},
        {"job_submission_name": "new"},
        {"status": "FAILED"},
        {"job_submission_description": None},
        {"execution_directory": None},
    ]
    for change in changes:
        status, changed = await call("PUT", f"{URL}/{row['id']}", json=change)
        expected = {**row, **change, "updated_at": changed["updated_at"]}
        assert (status, changed, list(changed)) == (200, expected, KEYS)
        assert changed["updated_at"] > row["updated_at"]
        assert await read(call, row) == changed
        row = changed


async def test_an_owner_sets_any_status_in_any_order(add: Add, call: Call) -> None:
    path = f"{URL}/{(await add())['id']}"
    for status in [*STATUSES, *STATUSES[::-1]]:
        assert (await call("PUT", path, json={"status": status}))[1]["status"] == status


async def test_a_status_is_one_of_six_words(add: Add, call: Call) -> None:
    path = f"{URL}/{(await add())['id']}"
    msg = f"value is not a valid enumeration member; permitted: {PERMITTED}"
    expected = wrong("status", msg, "type_error.enum", enum_values=STATUSES)
    odd: list[object] = ["created", "", "DONE", 0, True, [], {}]
    for value in odd:
        assert await call("PUT", path, json={"status": value}) == expected
    assert await call("PUT", path, json={"status": None}) == wrong("status", *NULL)


async def test_only_the_owner_changes_and_deletes(add: Add, call: Call, served: Served) -> None:
    row = await add()
    for me in ("other@example.com", "Owner@example.com", None):
        detail = (
            f"User {me} does not own job_submission with id={row['id']}. "
            "Only the job_submission owner (owner@example.com) can modify this job_submission."
        )
        for method in ("PUT", "DELETE"):
            client = served.client_as(email=me)
            body = {"status": "FAILED"}
            assert await call(method, f"{URL}/{row['id']}", client, json=body) == (403, {"detail": detail})
    assert await read(call, row) == row


async def test_a_deleted_submission_is_gone(add: Add, call: Call) -> None:
    row, other = await add(), await add()
    assert await call("DELETE", f"{URL}/{row['id']}") == (204, None)
    assert (await call("GET", URL))[1]["results"] == [other]
    expected = (404, {"detail": f"JobSubmission with id={row['id']} not found."})
    assert await call("GET", f"{URL}/{row['id']}") == expected
    expected = (404, {"detail": f"Could not find job_submissions instance with id {row['id']}"})
    assert await call("DELETE", f"{URL}/{row['id']}") == expected


async def test_a_submission_outlives_its_job_script(add: Add, call: Call, script_id: int) -> None:
    row = await add()
    assert (await call("DELETE", f"{SCRIPTS}/{script_id}"))[0] == 204
    orphan = await read(call, row)
    assert orphan == {**row, "updated_at": orphan["updated_at"], "job_script_id": None, "job_script_name": None}
    assert orphan["updated_at"] > row["updated_at"]
    assert (await call("GET", URL))[1]["results"] == [orphan]
    changed = (await call("PUT", f"{URL}/{row['id']}", json={"job_submission_name": "still mine"}))[1]
    assert (changed["job_submission_name"], changed["job_script_name"]) == ("still mine", None)


async def test_no_body_is_the_servers_fault(add: Add, call: Call, script_id: int) -> None:
    path = f"{URL}/{(await add())['id']}"
    odd: list[object] = [None, "", "\0", "\ud800", 0, -1, 10**30, 1e308, True, [], [[]], {}, {"a": {}}, "x" * 70_000]
    names = [
        "job_submission_name",
        "job_submission_description",
        "job_script_id",
        "execution_directory",
        "client_id",
        "execution_parameters",
        "status",
    ]
    body = {"job_submission_name": "x", "job_script_id": script_id}
    for name in names:
        for value in odd:
            assert (await call("PUT", path, json={name: value}))[0] < 500, (name, value)
            assert (await call("POST", URL, json={**body, name: value}))[0] < 500, (name, value)
