"""The list of applications: which it shows, what it searches and what it sorts by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wire import APPLICATION_KEYS as KEYS

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served
    from plugins.applications.tests.conftest import Add

URL = "/jobbergate/applications"


async def names(call: Call, client: Client | None = None, **params: object) -> list[str]:
    """The names in the list, in its order."""
    status, page = await call("GET", URL, client, params=params)
    assert status == 200
    return [row["application_name"] for row in page["results"]]


@pytest.fixture
async def four(add: Add, call: Call, served: Served) -> None:
    """A usable application and one without identifier, one of somebody else, and an archived one."""
    await add(application_name="own", application_identifier="own")
    await add(application_name="own draft")
    await add(served.client_as(email="other@example.com"), application_name="other's", application_identifier="other")
    row = await add(application_name="archived", application_identifier="archived")
    assert (await call("PUT", f"{URL}/{row['id']}", json={"is_archived": True}))[0] == 200


@pytest.mark.usefixtures("four")
async def test_those_with_an_identifier_that_are_not_archived_are_shown_whoever_owns_them(call: Call) -> None:
    assert await names(call) == ["own", "other's"]


@pytest.mark.usefixtures("four")
async def test_filters_widen_and_narrow_the_list(call: Call, served: Served) -> None:
    assert await names(call, all="true") == ["own", "own draft", "other's"]
    assert await names(call, user="true") == ["own"]
    assert await names(call, include_archived="true") == ["own", "other's", "archived"]
    assert await names(call, all=1, user=1) == ["own", "own draft"]
    assert await names(call, all=1, user=1, include_archived=1) == ["own", "own draft", "archived"]
    assert await names(call, all="false", user="false", include_archived="false") == ["own", "other's"]
    assert await names(call, served.client_as(email="other@example.com"), user=1) == ["other's"]
    assert await names(call, served.client_as(email="OTHER@example.com"), user=1) == []


@pytest.mark.usefixtures("four")
async def test_whoever_has_no_email_owns_nothing(call: Call, served: Served) -> None:
    nobody = served.client_as(email=None)
    assert await names(call, nobody, user="true", all="true") == []
    assert await names(call, nobody) == ["own", "other's"]


async def test_rows_are_those_of_the_create_answer(add: Add, call: Call) -> None:
    row = await add(application_identifier="app", application_description=None)
    (listed,) = (await call("GET", URL))[1]["results"]
    assert listed == row
    assert list(listed) == KEYS


@pytest.mark.parametrize("word", ["needle-name", "needle-identifier", "needle-description", "needle-owner@example.com"])
async def test_four_fields_are_searched(add: Add, call: Call, served: Served, word: str) -> None:
    await add(application_identifier="another", application_description=None)
    await add(
        served.client_as(email="needle-owner@example.com"),
        application_name="the needle-name",
        application_identifier="the-needle-identifier",
        application_description="the needle-description",
    )
    assert await names(call, search=word) == ["the needle-name"]
    assert await names(call, search=f"nothing {word.upper()}") == ["the needle-name"]


async def test_the_filters_hold_for_a_search_too(add: Add, call: Call) -> None:
    await add(application_name="needle")
    assert await names(call, search="needle") == []
    assert await names(call, search="needle", all="true") == ["needle"]


@pytest.mark.parametrize("field", ["id", "application_name", "application_identifier", "created_at", "updated_at"])
async def test_it_can_be_sorted(add: Add, call: Call, field: str) -> None:
    for name in ("a", "b", "c"):
        await add(application_name=name, application_identifier=name)
    assert await names(call, sort_field=field) == ["a", "b", "c"]
    assert await names(call, sort_field=field, sort_ascending="false") == ["c", "b", "a"]


async def test_it_can_be_sorted_by_owner(add: Add, call: Call, served: Served) -> None:
    for name in ("b", "a"):
        await add(served.client_as(email=f"{name}@example.com"), application_name=name, application_identifier=name)
    assert await names(call, sort_field="application_owner_email") == ["a", "b"]
    assert await names(call, sort_field="application_uploaded") == ["b", "a"]
