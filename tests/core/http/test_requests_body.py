"""How a JSON body is read, what is said of one that cannot be, and that nothing of it is read before the token."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served

URL = "/jobbergate/applications"
JSON = {"Content-Type": "application/json"}
BODY = b'{"application_name":"app"}'
pytestmark = pytest.mark.asyncio(loop_scope="module")

UNREADABLE = (400, {"detail": "There was an error parsing the body"})


@pytest.fixture(scope="module")
def served(shared_server: Served) -> Served:
    return shared_server


@pytest.fixture(scope="module")
def api(shared_client: Client) -> Client:
    return shared_client


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        "application/problem+json; v=1",
        "",
    ],
)
async def test_json_is_read_whatever_its_content_type_says_of_it(call: Call, content_type: str) -> None:
    status, row = await call("POST", URL, data=BODY, headers={"Content-Type": content_type})
    assert (status, row["application_name"]) == (201, "app")


async def test_json_is_read_without_a_content_type(call: Call) -> None:
    status, row = await call("POST", URL, data=BODY, skip_auto_headers=["Content-Type"])
    assert (status, row["application_name"]) == (201, "app")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/json",
        "json",
    ],
)
async def test_a_body_of_another_content_type_is_no_object(call: Call, content_type: str) -> None:
    assert await call("POST", URL, data=BODY, headers={"Content-Type": content_type}) == (
        422,
        {"detail": [{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}]},
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"", "application/json"), (b"", "text/plain"), (b"null", "application/json"), (b" null ", "application/json")],
)
async def test_an_empty_body_and_null_are_missing(call: Call, body: bytes, content_type: str) -> None:
    assert await call("POST", URL, data=body, headers={"Content-Type": content_type}) == (
        422,
        {"detail": [{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}]},
    )


async def test_json_that_is_no_object_is_refused(call: Call) -> None:
    for body in [b"[]", b'"text"', b"5", b"true", b"0", b'[{"application_name":"app"}]']:
        assert await call("POST", URL, data=body, headers=JSON) == (
            422,
            {"detail": [{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}]},
        ), body


@pytest.mark.parametrize(
    ("body", "msg", "pos", "lineno", "colno"),
    [
        ('{"application_name": }', "Expecting value", 21, 1, 22),
        ('{\n "application_name": "é"\n "x": 1}', "Expecting ',' delimiter", 28, 3, 2),
        ('{"application_name": "app"} {}', "Extra data", 28, 1, 29),
        ('{"application_name": "ap', "Unterminated string starting at", 21, 1, 22),
        ('{"a": "\t"}', "Invalid control character at", 7, 1, 8),
        (" ", "Expecting value", 1, 1, 2),
    ],
)
async def test_malformed_json_is_told_with_its_place(  # noqa: PLR0917 - one parameter for each thing told
    call: Call, body: str, msg: str, pos: int, lineno: int, colno: int
) -> None:
    entry = {
        "loc": ["body", pos],
        "msg": f"{msg}: line {lineno} column {colno} (char {pos})",
        "type": "value_error.jsondecode",
        "ctx": {"msg": msg, "doc": body, "pos": pos, "lineno": lineno, "colno": colno},
    }
    assert await call("POST", URL, data=body.encode(), headers=JSON) == (422, {"detail": [entry]})


@pytest.mark.parametrize(
    "body",
    [
        b'{"application_name":"\xe9"}',
        '{"application_name":"app"}'.encode("utf-16"),
        b'{"application_name":"\xed\xa0\x80"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"application_name":"app","a":' + b"[" * 201 + b"]" * 201 + b"}",
        b'{"application_name":"app","a":' + b"9" * 5000 + b"}",
    ],
    ids=["latin-1", "utf-16", "surrogate", "lists", "closed lists", "objects", "201 deep", "endless number"],
)
async def test_a_body_that_cannot_be_read_is_a_bad_request(call: Call, body: bytes) -> None:
    assert await call("POST", URL, data=body, headers=JSON) == UNREADABLE


async def test_a_body_that_cannot_be_unpacked_is_a_bad_request(call: Call) -> None:
    assert await call("POST", URL, data=BODY, headers={**JSON, "Content-Encoding": "gzip"}) == UNREADABLE


async def test_depth_that_no_human_writes_is_still_read(call: Call) -> None:
    body = b'{"application_name":"app","a":' + b"[" * 199 + b"]" * 199 + b"}"
    assert (await call("POST", URL, data=body, headers=JSON))[0] == 201


async def test_a_byte_order_mark_is_no_part_of_the_text(call: Call) -> None:
    assert (await call("POST", URL, data=b"\xef\xbb\xbf" + BODY, headers=JSON))[0] == 201


async def test_a_body_beyond_eight_mebibytes_is_too_large(api: Client) -> None:
    answer = await api.post(URL, data=io.BytesIO(b" " * (8 * 2**20) + BODY), headers=JSON)
    assert answer.status == 413
    assert set(await answer.json()) == {"detail"}


async def test_of_a_repeated_key_the_last_counts(call: Call) -> None:
    body = b'{"application_name":"first","application_name":5,"application_name":"last"}'
    assert (await call("POST", URL, data=body, headers=JSON))[1]["application_name"] == "last"


async def test_unknown_keys_are_ignored_whatever_they_hold(call: Call) -> None:
    body = b'{"application_name":"app","\\u0000":"\\ud800","\\ud800":NaN,"deep":{"a":[1e999]}}'
    assert (await call("POST", URL, data=body, headers=JSON))[0] == 201


async def test_errors_stand_in_the_order_of_the_model_and_all_at_once(call: Call) -> None:
    body = {"application_description": {}, "application_identifier": [], "extra": 1}
    assert await call("POST", URL, json=body) == (
        422,
        {
            "detail": [
                {"loc": ["body", "application_name"], "msg": "field required", "type": "value_error.missing"},
                {"loc": ["body", "application_identifier"], "msg": "str type expected", "type": "type_error.str"},
                {"loc": ["body", "application_description"], "msg": "str type expected", "type": "type_error.str"},
            ]
        },
    )


async def test_errors_of_the_path_stand_before_those_of_the_body(call: Call) -> None:
    path = {"loc": ["path", "application_id"], "msg": "value is not a valid integer", "type": "type_error.integer"}
    name = ["body", "application_name"]
    null = {"loc": name, "msg": "none is not an allowed value", "type": "type_error.none.not_allowed"}
    missing = {"loc": ["body"], "msg": "field required", "type": "value_error.missing"}
    assert await call("PUT", f"{URL}/x", json={"application_name": None}) == (422, {"detail": [path, null]})
    assert await call("PUT", f"{URL}/x", headers=JSON) == (422, {"detail": [path, missing]})


async def test_malformed_json_is_told_alone(call: Call) -> None:
    status, answer = await call("PUT", f"{URL}/x", data=b"{", headers=JSON)
    assert (status, [entry["type"] for entry in answer["detail"]]) == (422, ["value_error.jsondecode"])


BAD_BODIES = [b"{", b"\xff", b"", b"[]", b'{"application_name":null}', b"[" * 100_000]


async def test_the_token_is_judged_before_the_body(served: Served) -> None:
    client = served.client()
    for body in BAD_BODIES:
        answer = await client.post(URL, data=body, headers=JSON)
        assert (answer.status, await answer.json()) == (401, {"detail": "Not authenticated"}), body
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_permission_is_judged_before_the_body(served: Served) -> None:
    client = served.client_as("jobbergate:applications:view")
    for body in BAD_BODIES:
        answer = await client.post(URL, data=body, headers=JSON)
        assert (answer.status, await answer.json()) == (403, {"detail": "Not authorized"}), body
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_body_is_judged_before_the_handler(call: Call, served: Served) -> None:
    nobody = served.client_as(email=None)
    assert (await call("POST", URL, nobody, json={}))[0] == 422
    assert (await call("PUT", f"{URL}/999", json={"is_archived": "maybe"}))[0] == 422


async def test_answers_are_compact_utf_8_without_escapes(api: Client) -> None:
    answer = await api.post(URL, json={"application_name": "Größe 日本 😀"})
    text = await answer.text(encoding="utf-8")
    assert answer.headers["Content-Type"] == "application/json"
    assert '"application_name":"Größe 日本 😀",' in text
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


async def test_errors_are_compact_utf_8_without_escapes(api: Client) -> None:
    answer = await api.get(URL, params={"sort_field": "größe"})
    text = await answer.text(encoding="utf-8")
    assert answer.headers["Content-Type"] == "application/json"
    assert text.startswith('{"detail":"Invalid sorting column requested: größe. ')
