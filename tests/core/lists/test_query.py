"""Lists: the envelope, pages and their cap, search, and sorting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobbergate_applications.models import Application
from jobbergate_server.http.keys import DATABASE

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import MakeApp, Served

URL = "/jobbergate/applications"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SORTABLE = (
    "['id', 'application_name', 'application_identifier', 'application_owner_email', 'application_uploaded', "
    "'created_at', 'updated_at']"
)


async def add(served: Served, *rows: dict[str, Any]) -> None:
    """Add applications that the list shows, unless ``rows`` say otherwise."""
    given = {"created_at": MOMENT, "updated_at": MOMENT, "application_owner_email": "owner@example.com"}
    with served.app[DATABASE].bound():
        for number, row in enumerate(rows):
            texts = {"application_name": f"app {number}", "application_identifier": f"id-{number}"}
            await Application.create(**{**given, **texts, **row})


async def names(call: Call, **params: object) -> list[str]:
    """The names in the list, in its order."""
    status, page = await call("GET", URL, params={"all": "true", **params})
    assert status == 200
    return [row["application_name"] for row in page["results"]]


async def ids(call: Call, **params: object) -> tuple[list[int], dict[str, Any]]:
    """The ids on a page, and what the envelope says of it."""
    status, page = await call("GET", URL, params=params)
    assert status == 200
    return [row["id"] for row in page["results"]], page["pagination"]


async def test_an_empty_list_has_its_envelope(served: Served) -> None:
    answer = await served.client_as().get(URL)
    assert await answer.text() == '{"results":[],"pagination":{"total":0,"start":null,"limit":null}}'


async def test_without_a_start_every_row_is_answered_in_the_order_of_ids(call: Call, served: Served) -> None:
    await add(served, *[{}] * 12)
    every = (list(range(1, 13)), {"total": 12, "start": None, "limit": None})
    assert await ids(call) == every
    assert await ids(call, limit=3) == every


async def test_start_is_the_number_of_a_page(call: Call, served: Served) -> None:
    await add(served, *[{}] * 12)
    assert await ids(call, start=0) == (list(range(1, 11)), {"total": 12, "start": 0, "limit": 10})
    assert await ids(call, start=1) == ([11, 12], {"total": 12, "start": 1, "limit": 10})
    assert await ids(call, start=1, limit=5) == ([6, 7, 8, 9, 10], {"total": 12, "start": 1, "limit": 5})
    assert await ids(call, start=0, limit=100) == (list(range(1, 13)), {"total": 12, "start": 0, "limit": 100})
    assert await ids(call, start=3, limit=4) == ([], {"total": 12, "start": 3, "limit": 4})


@pytest.mark.parametrize(
    ("start", "limit"),
    [
        (2**31, 1),
        (2**63 - 1, 1),
        (2**62, 4),
        (10**30, 1),
        (1, 10**30),
        (int("9" * 4000), int("9" * 4000)),
    ],
)
async def test_pages_beyond_every_number_are_empty(call: Call, served: Served, start: int, limit: int) -> None:
    await add(served, {})
    envelope = {"total": 1, "start": start, "limit": limit}
    assert await ids(call, start=str(start), limit=str(limit)) == ([], envelope)


async def test_a_page_may_be_as_large_as_one_likes(call: Call, served: Served) -> None:
    await add(served, {}, {})
    assert await ids(call, start=0, limit=10**30) == ([1, 2], {"total": 2, "start": 0, "limit": 10**30})


async def test_no_answer_holds_more_rows_than_the_cap(call: Call, make_app: MakeApp) -> None:
    served = await make_app(settings={"limits": {"max_page_size": 2}})
    client = served.client_as()

    async def page(**params: object) -> tuple[list[int], dict[str, Any]]:
        answer = (await call("GET", URL, client, params=params))[1]
        return [row["id"] for row in answer["results"]], answer["pagination"]

    await add(served, {}, {})
    assert await page() == ([1, 2], {"total": 2, "start": None, "limit": None})
    assert await page(start=0, limit=50) == ([1, 2], {"total": 2, "start": 0, "limit": 50})
    await add(served, {"application_identifier": "x"})
    assert await page() == ([1, 2], {"total": 3, "start": 0, "limit": 2})
    assert await page(limit=50) == ([1, 2], {"total": 3, "start": 0, "limit": 2})
    assert await page(start=1, limit=50) == ([3], {"total": 3, "start": 1, "limit": 2})
    assert await page(start=2, limit=1) == ([3], {"total": 3, "start": 2, "limit": 1})
    assert await page(search="app 1") == ([1, 2], {"total": 3, "start": 0, "limit": 2})
    assert await page(search="id-1") == ([2], {"total": 1, "start": None, "limit": None})


async def test_the_total_counts_what_the_filters_let_through(call: Call, served: Served) -> None:
    await add(served, {"application_name": "car"}, {"application_name": "boat"}, {"application_name": "cart"})
    assert await ids(call, search="car", start=0, limit=1) == ([1], {"total": 2, "start": 0, "limit": 1})


async def test_a_search_finds_any_of_its_words_in_any_case(call: Call, served: Served) -> None:
    await add(served, *[{"application_name": name} for name in ("Alpha", "beta", "GAMMA ray", "delta")])
    assert await names(call, search="alpha") == ["Alpha"]
    assert await names(call, search="BETA gamma") == ["beta", "GAMMA ray"]
    assert await names(call, search="\t ELT\n\n") == ["delta"]
    assert await names(call, search="ray\u00a0lph") == ["Alpha", "GAMMA ray"]
    assert await names(call, search="epsilon") == []


@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
async def test_a_blank_search_is_no_filter(call: Call, served: Served, blank: str) -> None:
    await add(served, {}, {})
    assert len(await names(call, search=blank)) == 2


async def test_a_search_knows_the_case_of_every_alphabet(call: Call, served: Served) -> None:
    await add(served, *[{"application_name": name} for name in ("École", "éclair", "ЖУК", "ωμέγα", "日本")])
    assert await names(call, search="é") == ["École", "éclair"]
    assert await names(call, search="É") == ["École", "éclair"]
    assert await names(call, search="жук ΩΜ") == ["ЖУК", "ωμέγα"]
    assert await names(call, search="本") == ["日本"]


async def test_a_search_has_no_wildcards(call: Call, served: Served) -> None:
    every = ["100%", "1000", "a_b", "aXb", "c\\d", "cd", "it's", '"quoted"', "[x]", "a*"]
    await add(served, *[{"application_name": name} for name in every])
    for search in ["100%", "a_b", "c\\d", "it's", '"quoted"', "[x]", "a*", "%", "_", "\\", "'", '"', "[", "*"]:
        assert await names(call, search=search) == [name for name in every if search in name], search


async def test_a_search_has_at_most_64_different_words(call: Call, served: Served) -> None:
    await add(served, {})
    words = [f"word{number}" for number in range(65)]
    msg = {"msg": "at most 64 search terms are allowed", "type": "value_error", "ctx": {"limit_value": 64}}
    detail = [{"loc": ["query", "search"], **msg}]
    assert await call("GET", URL, params={"search": " ".join(words)}) == (422, {"detail": detail})
    assert (await call("GET", URL, params={"search": " ".join(words[:64])}))[0] == 200
    assert await names(call, search="app " * 100) == ["app 0"]


async def test_null_counts_as_the_largest_value(call: Call, served: Served) -> None:
    await add(served, *[{"application_identifier": text} for text in (None, "b", None, "a")])
    assert await names(call, sort_field="application_identifier") == ["app 3", "app 1", "app 0", "app 2"]
    descending = await names(call, sort_field="application_identifier", sort_ascending="false")
    assert descending == ["app 0", "app 2", "app 1", "app 3"]


@pytest.mark.parametrize("field", ["application_name", "application_owner_email", "application_uploaded", "created_at"])
@pytest.mark.parametrize("ascending", ["true", "false"])
async def test_equal_rows_come_in_the_order_of_ids(call: Call, served: Served, field: str, ascending: str) -> None:
    await add(served, *[{"application_name": "same"}] * 4)
    found, _ = await ids(call, sort_field=field, sort_ascending=ascending)
    assert found == [1, 2, 3, 4]


async def test_moments_are_sorted_to_the_microsecond(call: Call, served: Served) -> None:
    steps = [1, 0, 1_000_000, 999_999, 100_000]
    await add(served, *[{"created_at": MOMENT + timedelta(microseconds=step)} for step in steps])
    expected = ["app 1", "app 0", "app 4", "app 3", "app 2"]
    assert await names(call, sort_field="created_at") == expected
    assert await names(call, sort_field="created_at", sort_ascending="off") == expected[::-1]


async def test_a_moment_without_a_fraction_has_none_in_a_list_either(call: Call, served: Served) -> None:
    await add(served, {"updated_at": MOMENT + timedelta(microseconds=60)})
    (row,) = (await call("GET", URL))[1]["results"]
    assert (row["created_at"], row["updated_at"]) == ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000060")


async def test_pages_follow_the_sorting(call: Call, served: Served) -> None:
    await add(served, *[{"application_name": name} for name in "dbca"])
    assert await names(call, sort_field="application_name", start=1, limit=2) == ["c", "d"]
    assert await names(call, sort_field="id", sort_ascending=0, start=0, limit=2) == ["a", "c"]


async def test_a_direction_alone_sorts_nothing(call: Call, served: Served) -> None:
    await add(served, {}, {})
    assert await names(call, sort_ascending="false") == ["app 0", "app 1"]


@pytest.mark.parametrize(
    "field", ["", "application_description", "-id", "ID", "application_name__icontains", "pk", "nothing", "é'\""]
)
async def test_only_some_fields_can_be_sorted_by(call: Call, field: str) -> None:
    detail = f"Invalid sorting column requested: {field}. Must be one of {SORTABLE}"
    assert await call("GET", URL, params={"sort_field": field}) == (400, {"detail": detail})
