"""What answers tell browsers and caches, and which headers of a request are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict
from raw import connected

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Served

LIST = "/jobbergate/job-scripts"

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize(
    "path", [LIST, f"{LIST}/1", "/jobbergate/job-submissions/agent/pending", "/jobbergate/plugins"]
)
async def test_no_cache_keeps_what_is_for_a_user(served: Served, path: str) -> None:
    async with served.client_as().get(path) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/jobbergate/health", "/jobbergate/openapi.json", LIST, "/jobbergate/nowhere"])
async def test_no_browser_guesses_what_an_answer_is(served: Served, path: str) -> None:
    async with served.client().get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Cache-Control" not in response.headers


@pytest.mark.parametrize("path", ["/jobbergate/health", "/jobbergate/docs", LIST, "/jobbergate/nowhere"])
async def test_no_version_is_told_of_what_serves(served: Served, path: str) -> None:
    async with served.client().get(path) as response:
        assert response.headers.getall("Server") == ["jobbergate-server"]


async def test_what_cannot_be_read_is_answered_with_the_same_headers(served: Served) -> None:
    async with connected(served) as connection:
        await connection.send(b"nonsense\r\n\r\n")
        status, headers, _ = await connection.answer()
    assert (status, headers["server"], headers["x-content-type-options"]) == (400, "jobbergate-server", "nosniff")


async def test_a_page_tells_caches_what_it_wants(served: Served) -> None:
    async with served.client().get("/jobbergate/docs") as response:
        assert response.headers.getall("Cache-Control") == ["no-cache"]
        assert response.headers.getall("X-Content-Type-Options") == ["nosniff"]


async def test_a_request_has_one_authorization(served: Served) -> None:
    good = f"Bearer {served.token()}"
    for other in (good, "Bearer x", "Basic eDp4", ""):
        for pair in ((good, other), (other, good)):
            headers = CIMultiDict([("Authorization", value) for value in pair])
            async with served.client().get(LIST, headers=headers) as response:
                assert response.status == 400
                assert await response.json() == {"detail": "The header Authorization must be sent once."}


@pytest.mark.parametrize("name", ["access_token", "token", "authorization"])
async def test_a_token_counts_in_the_header_alone(served: Served, name: str) -> None:
    token = served.token()
    client = served.client()
    async with client.get(LIST, params={name: token}) as response:
        assert response.status == 401
    async with client.get(LIST, headers={"Cookie": f"{name}={token}"}) as response:
        assert response.status == 401
    async with client.post(LIST, data={name: token}) as response:
        assert response.status == 401
