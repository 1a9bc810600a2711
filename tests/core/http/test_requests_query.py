"""How a query is read: integers, booleans, repeated and unknown parameters, and the words for what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yarl

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing.served import Client, Served

URL = "/jobbergate/applications"
NOT_INTEGER = {"msg": "value is not a valid integer", "type": "type_error.integer"}
NOT_BOOLEAN = {"msg": "value could not be parsed to a boolean", "type": "type_error.bool"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def served(shared_server: Served) -> Served:
    return shared_server


@pytest.fixture(scope="module")
def api(shared_client: Client) -> Client:
    return shared_client


def entry(name: str, msg: str, kind: str, **ctx: object) -> dict[str, object]:
    return {"loc": ["query", name], "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}


async def test_integers_are_what_python_reads_as_such(call: Call) -> None:
    texts = {"0": 0, "05": 5, " 5": 5, "5 ": 5, "1_0": 10, "+5": 5, "-0": 0, "٣": 3}
    for text, value in texts.items():
        status, page = await call("GET", URL, params={"start": text})
        assert (status, page["pagination"]["start"]) == (200, value), text


@pytest.mark.parametrize("name", ["start", "limit"])
async def test_what_is_no_integer_is_refused(call: Call, name: str) -> None:
    detail = [{"loc": ["query", name], **NOT_INTEGER}]
    for text in ["", " ", "x", "1.0", "1e3", "0x1", "_1", "null", "9" * 5000]:
        assert await call("GET", URL, params={name: text}) == (422, {"detail": detail}), text


async def test_booleans_have_many_words_in_any_case(call: Call) -> None:
    await call("POST", URL, json={"application_name": "without identifier"})
    for text in ["true", "1", "on", "yes", "t", "y", "TRUE", "On", "YeS"]:
        assert (await call("GET", URL, params={"all": text}))[1]["pagination"]["total"] == 1, text
    for text in ["false", "0", "off", "no", "f", "n", "FALSE", "oFF"]:
        assert (await call("GET", URL, params={"all": text}))[1]["pagination"]["total"] == 0, text


@pytest.mark.parametrize("name", ["all", "user", "include_archived", "sort_ascending"])
async def test_what_is_no_boolean_is_refused(call: Call, name: str) -> None:
    detail = [{"loc": ["query", name], **NOT_BOOLEAN}]
    for text in ["", " true", "2", "-1", "maybe", "null", "1.0"]:
        assert await call("GET", URL, params={name: text}) == (422, {"detail": detail}), text


@pytest.mark.parametrize(
    ("name", "value", "msg", "kind", "limit"),
    [
        ("start", "-1", "ensure this value is greater than or equal to 0", "value_error.number.not_ge", 0),
        ("limit", "0", "ensure this value is greater than 0", "value_error.number.not_gt", 0),
        ("limit", "-7", "ensure this value is greater than 0", "value_error.number.not_gt", 0),
    ],
)
async def test_pages_have_bounds(  # noqa: PLR0917 - one parameter for each thing told
    call: Call, name: str, value: str, msg: str, kind: str, limit: int
) -> None:
    detail = [entry(name, msg, kind, limit_value=limit)]
    assert await call("GET", URL, params={name: value}) == (422, {"detail": detail})


async def test_of_a_repeated_parameter_the_last_counts(call: Call) -> None:
    params = [("start", "x"), ("start", "1"), ("limit", "5"), ("limit", "6")]
    assert (await call("GET", URL, params=params))[1]["pagination"] == {"total": 0, "start": 1, "limit": 6}
    assert (await call("GET", URL, params=[("start", "1"), ("start", "x")]))[0] == 422


async def test_unknown_parameters_are_ignored(call: Call) -> None:
    params = {"page": "x", "": "", "START": "x", "application_name": "\0"}
    assert (await call("GET", URL, params=params))[0] == 200


async def test_errors_stand_in_the_order_of_the_parameters_and_all_at_once(call: Call) -> None:
    params = {"all": "x", "sort_ascending": "x", "limit": "0", "start": "x", "include_archived": ""}
    status, answer = await call("GET", URL, params=params)
    names = [entry["loc"][1] for entry in answer["detail"]]
    assert (status, names) == (422, ["start", "limit", "sort_ascending", "all", "include_archived"])


async def test_a_missing_parameter_is_told(call: Call) -> None:
    detail = [entry("identifier", "field required", "value_error.missing")]
    assert await call("DELETE", URL) == (422, {"detail": detail})


@pytest.mark.parametrize("name", ["search", "sort_field"])
async def test_nul_in_a_text_is_refused(call: Call, name: str) -> None:
    detail = [entry(name, "text must not contain NUL characters or lone surrogates", "value_error")]
    assert await call("GET", URL, params={name: "a\0b"}) == (422, {"detail": detail})


async def test_no_query_is_the_servers_fault(api: Client) -> None:
    for query in ["search=%ED%A0%80", "search=%FF", "search=%", "search=%zz", "=", "&&", "search=%00%", "?", "a;b"]:
        answer = await api.get(yarl.URL(f"{URL}?{query}", encoded=True))
        assert answer.status in {200, 422}, query
