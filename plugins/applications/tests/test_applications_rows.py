"""Adding, reading, changing and deleting one application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from wire import APPLICATION_KEYS as KEYS
from wire import IMPOSSIBLE_IDS, NOT_STORABLE, NULL, too_long, wrong

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served
    from plugins.applications.tests.conftest import Add

URL = "/jobbergate/applications"
FILE_KEYS = ["application_config", "application_source_file", "application_templates"]


def not_owner(me: str | None, row: dict[str, Any]) -> tuple[int, dict[str, str]]:
    """The answer to whoever changes the application of another owner."""
    owner = row["application_owner_email"]
    only = f"Only the application owner ({owner}) can modify this application."
    return 403, {"detail": f"User {me} does not own application with id={row['id']}. {only}"}


async def read(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    """The row as it is stored now."""
    status, stored = await call("GET", f"{URL}/{row['id']}")
    assert status == 200
    return {key: stored[key] for key in KEYS}


async def test_a_new_application_has_defaults(call: Call) -> None:
    status, row = await call("POST", URL, json={"application_name": "app"})
    moment = row["created_at"]
    assert (status, list(row)) == (201, KEYS)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", moment)
    assert row == {
        "id": 1,
        "created_at": moment,
        "updated_at": moment,
        "application_name": "app",
        "application_identifier": None,
        "application_description": "",
        "application_owner_email": "owner@example.com",
        "application_uploaded": False,
        "is_archived": False,
    }


async def test_what_is_sent_is_stored(add: Add, call: Call) -> None:
    body = {"application_name": "Größe 😀", "application_identifier": "größe", "application_description": " a\r\nb\t"}
    row = await add(**body)
    assert row | body == row
    assert await read(call, row) == row


async def test_null_is_stored_where_it_may_be(add: Add, call: Call) -> None:
    row = await add(application_identifier=None, application_description=None)
    assert (row["application_identifier"], row["application_description"]) == (None, None)
    assert await read(call, row) == row


async def test_numbers_and_booleans_become_text(add: Add) -> None:
    row = await add(application_name=5, application_identifier=True, application_description=1.5)
    texts = [row["application_name"], row["application_identifier"], row["application_description"]]
    assert texts == ["5", "True", "1.5"]


async def test_names_may_be_empty_and_equal(add: Add) -> None:
    rows = [await add(application_name="", application_description="") for _ in range(2)]
    assert [row["application_name"] for row in rows] == ["", ""]


async def test_a_client_cannot_send_what_is_the_servers(add: Add, call: Call) -> None:
    sent = {
        "id": 77,
        "created_at": "2000-01-01T00:00:00",
        "updated_at": "2000-01-01T00:00:00",
        "application_owner_email": "other@example.com",
        "application_uploaded": True,
        "is_archived": True,
    }
    row = await add(**sent)
    assert not {key for key, value in sent.items() if row[key] == value}
    del sent["is_archived"]
    status, changed = await call("PUT", f"{URL}/{row['id']}", json=sent)
    assert (status, changed) == (200, {**row, "updated_at": changed["updated_at"]})
    assert changed["updated_at"] != sent["updated_at"]


async def test_the_owner_is_the_email_of_the_token(add: Add, served: Served) -> None:
    row = await add(served.client_as(email="MiXed@Example.COM"))
    assert row["application_owner_email"] == "MiXed@example.com"


async def test_without_an_email_nothing_is_created(call: Call, served: Served) -> None:
    detail = "A token without an e-mail address cannot own anything."
    answer = await call("POST", URL, served.client_as(email=None), json={"application_name": "app"})
    assert answer == (403, {"detail": detail})
    assert (await call("GET", URL, params={"all": "true"}))[1]["results"] == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_a_body_may_not_hold(add: Add, call: Call, method: str) -> None:
    path = f"{URL}/{(await add())['id']}" if method == "PUT" else URL

    async def send(**body: object) -> tuple[int, Any]:
        return await call(method, path, json={"application_name": "app", **body})

    assert await send(application_name=None) == wrong("application_name", *NULL)
    for name, limit in (
        ("application_name", 255),
        ("application_identifier", 255),
        ("application_description", 65_536),
    ):
        assert await send(**{name: "😀" * (limit + 1)}) == too_long(name, limit)
        assert await send(**{name: []}) == wrong(name, "str type expected", "type_error.str")
        for text in ("a\0", "\ud800", "a\udfff"):
            assert await send(**{name: text}) == wrong(name, *NOT_STORABLE)


async def test_texts_may_be_as_long_as_they_may_be(add: Add, call: Call) -> None:
    body = {
        "application_name": "😀" * 255,
        "application_identifier": "日" * 255,
        "application_description": "é" * 65_536,
    }
    row = await add(**body)
    assert row | body == row
    assert (await call("GET", f"{URL}/{body['application_identifier']}"))[1]["id"] == row["id"]
    assert (await call("PUT", f"{URL}/{row['id']}", json=body))[0] == 200


async def test_an_identifier_is_used_once(add: Add, call: Call, served: Served) -> None:
    await add(application_identifier="it's")
    conflict = (409, {"detail": 'Application identifier "it\'s" is already in use.'})
    body = {"application_name": "app", "application_identifier": "it's"}
    assert await call("POST", URL, json=body) == conflict
    assert await call("POST", URL, served.client_as(email="other@example.com"), json=body) == conflict
    assert (await call("POST", URL, json={**body, "application_identifier": "IT'S"}))[0] == 201


async def test_an_identifier_that_is_taken_changes_nothing(add: Add, call: Call) -> None:
    await add(application_identifier="x")
    row = await add(application_identifier="y")
    body = {"application_name": "changed", "application_identifier": "x"}
    conflict = (409, {"detail": "Application identifier 'x' is already in use."})
    assert await call("PUT", f"{URL}/{row['id']}", json=body) == conflict
    assert await read(call, row) == row


async def test_an_application_may_keep_its_identifier(add: Add, call: Call) -> None:
    row = await add(application_identifier="x")
    assert (await call("PUT", f"{URL}/{row['id']}", json={"application_identifier": "x"}))[0] == 200


async def test_an_application_is_read_by_id_and_by_identifier(add: Add, call: Call, served: Served) -> None:
    row = await add(application_identifier="x")
    expected = {**row, **dict.fromkeys(FILE_KEYS)}
    viewer = served.client_as("jobbergate:applications:view", email=None)
    for identification in ("x", str(row["id"]), f"0{row['id']}", f"+{row['id']}"):
        status, found = await call("GET", f"{URL}/{identification}", viewer)
        assert (status, found, list(found)) == (200, expected, [*KEYS, *FILE_KEYS])


@pytest.mark.parametrize("identifier", ["größe", "a b", "it's", "a.b", "1.5", "-", "null", "%41", "a\\b", "?", "#"])
async def test_any_text_that_is_no_integer_is_an_identifier(add: Add, call: Call, identifier: str) -> None:
    await add()
    row = await add(application_identifier=identifier)
    quoted = identifier.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    assert (await call("GET", f"{URL}/{quoted}"))[1]["id"] == row["id"]


async def test_an_identifier_of_digits_is_taken_for_an_id(add: Add, call: Call) -> None:
    row = await add(application_identifier="123")
    detail = "Application application_identification=123 not found."
    assert await call("GET", f"{URL}/123") == (404, {"detail": detail})
    assert (await call("DELETE", URL, params={"identifier": "123"}))[0] == 204
    assert (await call("GET", f"{URL}/{row['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("identification", "shown"),
    [("nope", "'nope'"), ("it's", '"it\'s"'), ("a%00b", "'a\\x00b'"), ("a" * 300, f"'{'a' * 300}'"), ("05", "5")]
    + [(str(number), str(number)) for number in IMPOSSIBLE_IDS],
)
async def test_what_cannot_be_read_is_not_found(call: Call, identification: str, shown: str) -> None:
    detail = f"Application application_identification={shown} not found."
    assert await call("GET", f"{URL}/{identification}") == (404, {"detail": detail})


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_cannot_be_changed_is_not_found(call: Call, served: Served, method: str) -> None:
    for number in IMPOSSIBLE_IDS:
        expected = (404, {"detail": f"Could not find applications instance with id {number}"})
        assert await call(method, f"{URL}/{number}", json={}) == expected
        assert await call(method, f"{URL}/{number}", served.client_as(email=None), json={}) == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_id_is_an_integer(call: Call, method: str) -> None:
    entry = {"loc": ["path", "application_id"], "msg": "value is not a valid integer", "type": "type_error.integer"}
    for text in ("x", "1.0", "a%00", "1e3"):
        assert await call(method, f"{URL}/{text}", json={}) == (422, {"detail": [entry]})


async def test_only_what_is_sent_is_changed(add: Add, call: Call) -> None:
    row = await add(application_identifier="x", application_description="y")
    for change in ({"application_name": "new"}, {"is_archived": "yes"}, {"application_identifier": None}):
        status, changed = await call("PUT", f"{URL}/{row['id']}", json=change)
        expected = {**row, **change, "updated_at": changed["updated_at"]}
        expected["is_archived"] = bool(expected["is_archived"])
        assert (status, changed, list(changed)) == (200, expected, KEYS)
        assert changed["updated_at"] > row["updated_at"]
        assert await read(call, row) == changed
        row = changed


async def test_an_empty_change_renews_the_moment(add: Add, call: Call) -> None:
    row = await add()
    changed = (await call("PUT", f"{URL}/{row['id']}", json={}))[1]
    assert changed == {**row, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > row["updated_at"] == changed["created_at"]


async def test_null_clears_only_what_may_be_null(add: Add, call: Call) -> None:
    path = f"{URL}/{(await add(application_identifier='x', application_description='y'))['id']}"
    row = (await call("PUT", path, json={"application_identifier": None, "application_description": None}))[1]
    assert (row["application_identifier"], row["application_description"]) == (None, None)
    for name in ("application_name", "is_archived"):
        assert await call("PUT", path, json={name: None}) == wrong(name, *NULL)
    not_boolean = wrong("is_archived", "value could not be parsed to a boolean", "type_error.bool")
    assert await call("PUT", path, json={"is_archived": ""}) == not_boolean


async def test_only_the_owner_changes_and_deletes(add: Add, call: Call, served: Served) -> None:
    row = await add(application_identifier="x")
    for me in ("other@example.com", "Owner@example.com", None):
        client = served.client_as(email=me)
        for method, path in (("PUT", f"/{row['id']}"), ("DELETE", f"/{row['id']}"), ("DELETE", "?identifier=x")):
            assert await call(method, URL + path, client, json={"is_archived": True}) == not_owner(me, row)
    assert await read(call, row) == row
    assert (await call("PUT", f"{URL}/{row['id']}", served.client_as(email="owner@EXAMPLE.com"), json={}))[0] == 200


async def test_a_deleted_application_is_gone(add: Add, call: Call) -> None:
    row, other = await add(application_identifier="x"), await add(application_identifier="y")
    assert await call("DELETE", f"{URL}/{row['id']}") == (204, None)
    assert (await call("GET", f"{URL}/{row['id']}"))[0] == 404
    assert (await call("DELETE", f"{URL}/{row['id']}"))[0] == 404
    assert (await call("GET", URL))[1]["results"] == [other]
    assert (await add(application_identifier="x"))["id"] > other["id"]


@pytest.mark.parametrize("identifier", ["x", "", "größe/ä", "it's"])
async def test_an_application_is_deleted_by_identifier(add: Add, call: Call, identifier: str) -> None:
    kept = await add(application_identifier="kept")
    await add(application_identifier=identifier)
    await add()
    assert await call("DELETE", URL, params={"identifier": identifier}) == (204, None)
    assert (await call("GET", URL))[1]["results"] == [kept]
    expected = (404, {"detail": f"Application identifier={identifier!r} not found."})
    assert await call("DELETE", URL, params={"identifier": identifier}) == expected


async def test_an_identifier_that_nobody_can_have_is_not_found(call: Call) -> None:
    expected = (404, {"detail": f"Application identifier={'a' * 300!r} not found."})
    assert await call("DELETE", URL, params={"identifier": "a" * 300}) == expected
    entry = {"loc": ["query", "identifier"], "msg": NOT_STORABLE[0], "type": NOT_STORABLE[1]}
    assert await call("DELETE", URL, params={"identifier": "\0"}) == (422, {"detail": [entry]})


async def test_no_body_is_the_servers_fault(add: Add, call: Call) -> None:
    path = f"{URL}/{(await add())['id']}"
    odd: list[object] = [None, "", "\0", "\ud800", 0, -1, 10**30, 1e308, True, [], [[]], {}, {"a": {}}, "x" * 70_000]
    for name in ("application_name", "application_identifier", "application_description", "is_archived"):
        for value in odd:
            assert (await call("PUT", path, json={name: value}))[0] < 500, (name, value)
            assert (await call("POST", URL, json={"application_name": "a", name: value}))[0] < 500, (name, value)
