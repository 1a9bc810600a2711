"""The fixtures that an author of a plugin gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobbergate_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobbergate_devkit.testing import Client, MakeApp, Served

pytestmark = pytest.mark.usefixtures("clean_environment")


async def test_a_client_has_the_permissions_that_are_named_and_no_others(client_as: Callable[..., Client]) -> None:
    viewer = client_as("jobbergate:applications:view")
    assert (await viewer.get("/jobbergate/applications")).status == 200
    assert (await viewer.get("/jobbergate/job-scripts")).status == 403
    assert (await viewer.post("/jobbergate/applications", json={"application_name": "a"})).status == 403


async def test_only_the_plugins_that_are_named_are_served_with_those_that_they_require(make_app: MakeApp) -> None:
    client = (await make_app(plugins=["job-scripts"])).client_as()
    listed = await (await client.get("/jobbergate/plugins")).json()
    assert [plugin["name"] for plugin in listed["plugins"]] == ["service", "applications", "job-scripts"]
    assert (await client.get("/jobbergate/job-submissions")).status == 404


async def test_settings_are_those_of_the_settings_file(make_app: MakeApp) -> None:
    client = (await make_app(settings={"limits": {"max_page_size": 1}}, samples=True)).client_as()
    for name in ("one", "two"):
        await client.post("/jobbergate/applications", json={"application_name": name})
    listed = await (await client.get("/jobbergate/applications?all=true")).json()
    assert listed["pagination"] == {"total": 3, "start": 0, "limit": 1}


async def test_a_plugin_that_is_not_installed_is_named(make_app: MakeApp) -> None:
    with pytest.raises(StartError) as refused:
        await make_app(plugins=["licences", "job-scripts", "queues"])
    assert str(refused.value) == "no plugin 'licences', 'queues' is installed"


async def test_tokens_are_really_signed_by_an_issuer_of_the_tests(served: Served) -> None:
    token = served.token("jobbergate:applications:view", email="someone@example.com")
    claims = served.issuer.verified(token)
    assert claims is not None
    assert (claims["email"], claims["permissions"]) == ("someone@example.com", ["jobbergate:applications:view"])
    tampered = served.client({"Authorization": f"Bearer {token[:-8]}AAAAAAAA"})
    assert (await tampered.get("/jobbergate/applications")).status == 401


@pytest.mark.database("sqlite")
async def test_a_marked_test_runs_on_one_database(database_url: str) -> None:
    assert database_url.startswith("sqlite:///")


async def test_a_database_is_a_test_s_own(empty_database_url: str, database_url: str) -> None:
    assert empty_database_url != database_url
    assert empty_database_url.partition(":")[0] == database_url.partition(":")[0]
