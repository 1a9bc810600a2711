"""The total of a list: remembered for a while, counted once for many, and never without one's own writes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from patience import PATIENCE
from tortoise.exceptions import OperationalError

from jobbergate_applications.models import Application
from jobbergate_server import transaction_time
from jobbergate_server.database.prepared import Statement, compiled
from jobbergate_server.http.keys import DATABASE
from jobbergate_server.lists.totals import Totals

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp, Served

URL = "/jobbergate/applications"
AN_HOUR = {"limits": {"total_max_age": 3600}}
BODY = {"application_name": "Fluid dynamics"}


async def total(client: Client) -> int:
    """What the list says when its first page is full, so that the page does not tell by itself."""
    async with client.get(URL, params={"all": "true", "start": 0, "limit": 1}) as response:
        assert response.status == 200
        found: int = (await response.json())["pagination"]["total"]
        return found


async def add(client: Client) -> int:
    async with client.post(URL, json=BODY) as response:
        assert response.status == 201
        added: int = (await response.json())["id"]
        return added


def counts(caplog: pytest.LogCaptureFixture) -> int:
    """How many statements have counted the rows of a list."""
    return sum("COUNT(*)" in record.getMessage() for record in caplog.records)


def counting(served: Served) -> Statement:
    with served.app[DATABASE].bound():
        return compiled(Application.all().count())


async def test_who_has_written_sees_it_counted(make_app: MakeApp) -> None:
    client = (await make_app(settings=AN_HOUR)).client_as()
    ids = [await add(client), await add(client)]
    assert await total(client) == 2
    await add(client)
    assert await total(client) == 3
    async with client.delete(f"{URL}/{ids[0]}") as response:
        assert response.status == 204
    assert await total(client) == 2


async def test_what_is_written_outside_of_requests_is_counted_as_well(make_app: MakeApp) -> None:
    served = await make_app(settings=AN_HOUR)
    client = served.client_as()
    await add(client)
    await add(client)
    assert await total(client) == 2
    rows: dict[str, Any] = {
        **BODY,
        "application_owner_email": "owner@example.com",
        "created_at": transaction_time(),
        "updated_at": transaction_time(),
    }
    with served.app[DATABASE].bound():
        await Application.create(**rows)
        assert await total(client) == 3
        await Application.bulk_create([Application(**rows), Application(**rows)])
        assert await total(client) == 5
        await Application.filter(id__gt=2).delete()
        assert await total(client) == 2


async def test_what_another_process_writes_is_counted_when_the_total_is_too_old(make_app: MakeApp) -> None:
    writer = (await make_app()).client_as()
    await add(writer)
    await add(writer)
    patient = (await make_app(settings=AN_HOUR)).client_as()
    exact = (await make_app(settings={"limits": {"total_max_age": 0}})).client_as()
    short = (await make_app(settings={"limits": {"total_max_age": 0.01}})).client_as()
    readers = (patient, exact, short)
    assert [await total(reader) for reader in readers] == [2, 2, 2]
    await add(writer)
    assert [await total(patient), await total(exact)] == [2, 3]
    async with asyncio.timeout(PATIENCE):
        while await total(short) != 3:
            pass


async def test_the_total_is_counted_once_for_all_who_ask(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    client = (await make_app(settings=AN_HOUR)).client_as()
    await add(client)
    await add(client)
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        assert await asyncio.gather(*(total(client) for _ in range(5))) == [2] * 5
    assert counts(caplog) == 1


async def test_without_an_age_every_answer_is_counted(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    client = (await make_app(settings={"limits": {"total_max_age": 0}})).client_as()
    await add(client)
    await add(client)
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        assert await asyncio.gather(*(total(client) for _ in range(5))) == [2] * 5
    assert counts(caplog) == 5


async def test_a_page_that_is_not_full_needs_no_count(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    client = (await make_app(settings=AN_HOUR)).client_as()
    for _ in range(3):
        await add(client)
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        for params in ({}, {"start": 0}, {"start": 1, "limit": 2}):
            async with client.get(URL, params={"all": "true", **params}) as response:
                assert (await response.json())["pagination"]["total"] == 3
    assert counts(caplog) == 0


@pytest.mark.parametrize("age", [0, 1])
async def test_every_page_has_the_total(make_app: MakeApp, age: int) -> None:
    client = (await make_app(settings={"limits": {"total_max_age": age}})).client_as()
    for _ in range(3):
        await add(client)
    for start, size in ((0, 2), (1, 1), (2, 0), (9, 0), (2**62, 0)):
        async with client.get(URL, params={"all": "true", "start": start, "limit": 2, "search": "fluid"}) as response:
            page = await response.json()
        assert (len(page["results"]), page["pagination"]["total"]) == (size, 3)


async def test_who_hangs_up_does_not_take_the_count_away_from_the_others(served: Served) -> None:
    totals = Totals(served.app[DATABASE], 3600)
    statement = counting(served)
    with served.app[DATABASE].bound():
        first, second = (asyncio.create_task(totals.total(statement)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 0
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_count_that_fails_is_not_remembered(served: Served) -> None:
    totals = Totals(served.app[DATABASE], 3600)
    statement = Statement("SELECT COUNT(*) FROM nowhere", ())
    with served.app[DATABASE].bound():
        for _ in range(2):
            with pytest.raises(OperationalError, match="nowhere"):
                await totals.total(statement)
        await served.app[DATABASE].client.execute_script("CREATE TABLE nowhere (id INT)")
        assert await totals.total(statement) == 0


async def test_a_transaction_sees_what_it_has_written(served: Served) -> None:
    database = served.app[DATABASE]
    totals = Totals(database, 3600)
    statement = counting(served)
    rows: dict[str, Any] = {
        **BODY,
        "application_owner_email": "owner@example.com",
        "created_at": transaction_time(),
        "updated_at": transaction_time(),
    }
    with database.bound():
        assert await totals.total(statement) == 0
        async with database.transaction():
            await Application.create(**rows)
            assert await totals.total(statement) == 1
        assert await totals.total(statement) == 1
