"""Requests that depend on a state: entity tags, and the headers that name them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp, Served

URL = "/jobbergate/applications"
OTHER = '"0123456789abcdef0123456789abcdef"'


async def added(client: Client, name: str = "Flow") -> str:
    """The path of a new application."""
    async with client.post(URL, json={"application_name": name, "application_identifier": "flow"}) as response:
        assert response.status == 201
        return f"{URL}/{(await response.json())['id']}"


async def tag(client: Client, path: str) -> str:
    async with client.get(path) as response:
        assert response.status == 200
        return response.headers["ETag"]


async def asked(client: Client, method: str, path: str, name: str = "Other", **headers: str) -> int:
    """The status of a request with these headers, whose names have `_` for `-`."""
    sent = {header.replace("_", "-"): value for header, value in headers.items()}
    body = {"application_name": name} if method == "PUT" else None
    async with client.request(method, path, json=body, headers=sent) as response:
        return response.status


async def name_of(client: Client, path: str) -> str:
    async with client.get(path) as response:
        name: str = (await response.json())["application_name"]
        return name


async def test_the_tag_of_a_thing_and_of_a_list_changes_when_they_do_and_is_that_of_every_process(
    api: Client, make_app: MakeApp
) -> None:
    path = await added(api)
    other = (await make_app()).client_as()
    before = {it: await tag(api, it) for it in (path, URL)}
    assert before == {it: await tag(other, it) for it in (path, URL)}
    assert before[path] != before[URL]
    assert await asked(api, "PUT", path) == 200
    after = {it: await tag(api, it) for it in (path, URL)}
    assert not before.items() & after.items()


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
async def test_who_has_it_already_is_not_sent_it_again(api: Client, known: str) -> None:
    path = await added(api)
    for it in (path, URL):
        now = await tag(api, it)
        async with api.get(it, headers={"If-None-Match": known.format(now)}) as response:
            assert response.status == 304
            assert await response.read() == b""
            assert response.headers["ETag"] == now
            assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("known", [OTHER, "nonsense", ""])
async def test_who_has_something_else_is_sent_all_of_it(api: Client, known: str) -> None:
    path = await added(api)
    for it in (path, URL):
        async with api.get(it, headers={"If-None-Match": known}) as response:
            assert response.status == 200
            assert await response.json()


async def test_an_error_and_an_answer_without_a_body_have_no_tag(api: Client) -> None:
    for path in (f"{URL}/1", "/jobbergate/health"):
        async with api.get(path, headers={"If-None-Match": "*"}) as response:
            assert response.status in {404, 204}
            assert "ETag" not in response.headers


async def test_a_change_of_the_state_that_is_named_is_made(api: Client) -> None:
    path = await added(api)
    assert await asked(api, "PUT", path, "second", If_Match=await tag(api, path)) == 200
    assert await asked(api, "PUT", path, "third", If_Match="*") == 200
    assert await name_of(api, path) == "third"
    assert await asked(api, "DELETE", path, If_Match=f"{OTHER}, {await tag(api, path)}") == 204
    assert await asked(api, "GET", path) == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_of_another_state_is_refused(api: Client, method: str) -> None:
    path = await added(api)
    old = await tag(api, path)
    assert await asked(api, "PUT", path, "second") == 200
    body = {"application_name": "third"}
    for named in (old, f"W/{await tag(api, path)}", "nonsense", ""):
        async with api.request(method, path, json=body, headers={"If-Match": named}) as response:
            assert response.status == 412
            assert await response.json() == {"detail": "Precondition failed: the resource does not match If-Match."}
    assert await name_of(api, path) == "second"


async def test_a_change_of_any_state_but_those_that_are_named_is_made(api: Client) -> None:
    path = await added(api)
    for named in ("*", await tag(api, path)):
        async with api.put(path, json={"application_name": "b"}, headers={"If-None-Match": named}) as response:
            assert response.status == 412
            assert await response.json() == {"detail": "Precondition failed: the resource matches If-None-Match."}
    assert await asked(api, "PUT", path, "second", If_None_Match=OTHER) == 200


async def test_a_request_that_fails_by_itself_is_answered_as_without_the_header(api: Client, served: Served) -> None:
    path = await added(api)
    stranger = served.client_as(email="stranger@example.com")
    assert await asked(stranger, "PUT", path, If_Match=OTHER) == 403
    assert await asked(api, "PUT", f"{path}1", If_Match=OTHER) == 404
    assert await asked(api, "DELETE", f"{path}1", If_Match="*") == 404
    async with api.put(path, json={"application_name": None}, headers={"If-Match": OTHER}) as response:
        assert response.status == 422
    assert await name_of(api, path) == "Flow"


async def test_where_no_state_is_shown_none_can_be_named(api: Client) -> None:
    async with api.post(URL, json={"application_name": "a"}, headers={"If-Match": "*"}) as response:
        assert response.status == 412
    async with api.post(URL, json={"application_name": "a"}, headers={"If-None-Match": "*"}) as response:
        assert response.status == 201


async def test_of_those_who_name_the_same_state_one_changes_it(api: Client, make_app: MakeApp) -> None:
    path = await added(api)
    other = (await make_app()).client_as()
    now = await tag(api, path)
    changes = [asked(it, "PUT", path, f"{number}", If_Match=now) for number in range(10) for it in (api, other)]
    statuses = await asyncio.gather(*changes)
    assert sorted(statuses) == [200] + [412] * 19
    assert await tag(api, path) != now


@pytest.mark.database("postgresql")
async def test_who_is_overtaken_is_told_by_the_header_that_it_sent(api: Client, database_url: str) -> None:
    path = await added(api)
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("UPDATE applications SET application_name = 'second'")
            task = asyncio.create_task(refused(api, path, "If-None-Match"))
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while not await connection.fetchval(waiting):
                assert not task.done()
                await connection.execute("SELECT pg_stat_clear_snapshot()")
    finally:
        await connection.close()
    assert await task == "Precondition failed: the resource matches If-None-Match."


async def refused(client: Client, path: str, header: str) -> str:
    """Why a change that depends on another state is not made."""
    async with client.put(path, json={"application_name": "third"}, headers={header: OTHER}) as response:
        assert response.status == 412
        detail: str = (await response.json())["detail"]
        return detail
