"""Requests of web pages from other origins: refused unless the operator lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobbergate_devkit.testing import Client, MakeApp
    from jobbergate_server.plugins.plugin import Plugin

pytestmark = pytest.mark.usefixtures("clean_environment")

PORTAL = "https://portal.example.com"
HEALTH = "/jobbergate/health"
PREFLIGHT = {
    "Origin": PORTAL,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def cors(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a browser looks at."""
    return {name: value for name, value in headers.items() if name == "Vary" or name.startswith("Access-Control-")}


async def answered(client: Client, path: str = HEALTH, origin: str | None = PORTAL) -> tuple[int, dict[str, str]]:
    async with client.get(path, headers={"Origin": origin} if origin else {}) as response:
        return response.status, cors(response.headers)


async def test_without_origins_no_page_may_call(make_app: MakeApp) -> None:
    client = (await make_app()).client()
    assert await answered(client) == (204, {})
    async with client.options(HEALTH, headers=PREFLIGHT) as response:
        assert response.status == 405
        assert await response.json() == {"detail": "Method Not Allowed"}
        assert cors(response.headers) == {}


async def test_a_listed_origin_may_call_with_credentials(make_app: MakeApp) -> None:
    client = (await make_app(settings={"cors": {"origins": ["http://localhost:3000", PORTAL]}})).client()
    allowed = {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": PORTAL,
        "Access-Control-Allow-Credentials": "true",
    }
    assert await answered(client) == (204, allowed)
    async with client.options("/jobbergate/job-scripts/1", headers=PREFLIGHT) as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert await response.text() == "OK"
        assert cors(response.headers) == {
            **allowed,
            "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
            "Access-Control-Allow-Headers": "authorization,content-type",
            "Access-Control-Max-Age": "600",
        }


async def test_other_origins_may_not_call_and_caches_are_told_of_the_difference(make_app: MakeApp) -> None:
    client = (await make_app(settings={"cors": {"origins": [PORTAL]}})).client()
    for origin in ("https://evil.example.com", "https://portal.example.com.evil.example.com", "null", None):
        assert await answered(client, origin=origin) == (204, {"Vary": "Origin"})
    async with client.options(HEALTH, headers={**PREFLIGHT, "Origin": "null"}) as response:
        assert (response.status, cors(response.headers)) == (405, {"Vary": "Origin"})


async def test_with_a_star_every_origin_may_call_without_credentials(make_app: MakeApp) -> None:
    client = (await make_app(settings={"cors": {"origins": [PORTAL, "*"]}})).client()
    assert await answered(client) == (204, {"Access-Control-Allow-Origin": "*"})
    assert await answered(client, origin=None) == (204, {})
    async with client.options(HEALTH, headers=PREFLIGHT) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_error_answers_and_streams_may_be_read_too(make_app: MakeApp, notebook: list[Plugin]) -> None:
    served = await make_app(plugins=notebook, settings={"cors": {"origins": [PORTAL]}})
    client = served.client()
    allowed = {"Vary": "Origin", "Access-Control-Allow-Origin": PORTAL, "Access-Control-Allow-Credentials": "true"}
    assert await answered(client, "/jobbergate/notebook") == (401, allowed)
    assert await answered(client, "/jobbergate/nowhere") == (404, allowed)
    assert await answered(client, "/jobbergate/notebook/stream") == (200, allowed)
    assert await answered(client, "/jobbergate/docs/swagger-ui.css") == (200, allowed)
    async with served.client_as().post("/jobbergate/notebook/raise/mistake", headers={"Origin": PORTAL}) as response:
        assert (response.status, cors(response.headers)) == (500, allowed)


async def test_an_options_request_that_is_no_preflight_is_not_served(make_app: MakeApp) -> None:
    client = (await make_app(settings={"cors": {"origins": [PORTAL]}})).client()
    async with client.options(HEALTH, headers={"Origin": PORTAL}) as response:
        assert response.status == 405
