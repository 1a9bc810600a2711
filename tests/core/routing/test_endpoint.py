"""Paths and methods, and what a token must permit on each route."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, Served

MOUNT = "/jobbergate"
APPLICATIONS = f"{MOUNT}/applications"
NOT_FOUND = (404, {"detail": "Not Found"})
NOT_ALLOWED = (405, {"detail": "Method Not Allowed"})

ROUTES = [
    (method, f"{MOUNT}/{resource}{path}", f"jobbergate:{resource}:{permission}")
    for resource in ("applications", "job-scripts", "job-submissions")
    for method, path, permission in (
        ("GET", "", "view"),
        ("POST", "", "edit"),
        ("GET", "/1", "view"),
        ("PUT", "/1", "edit"),
        ("DELETE", "/1", "edit"),
    )
] + [("DELETE", APPLICATIONS, "jobbergate:applications:edit")]


async def test_unknown_paths_are_not_found(call: Call, served: Served) -> None:
    paths = ["/", "/jobbergate", "/applications", f"{MOUNT}/nothing", f"{MOUNT}/Applications", f"{APPLICATIONS}/1/2"]
    for path in paths:
        assert await call("GET", path) == NOT_FOUND, path
        assert await call("GET", path, served.client()) == NOT_FOUND, path


async def test_other_methods_are_not_allowed(call: Call) -> None:
    for resource in ("applications", "job-scripts", "job-submissions"):
        for method, path in [("PATCH", ""), ("PUT", ""), ("OPTIONS", ""), ("PATCH", "/1"), ("OPTIONS", "/1")]:
            assert await call(method, f"{MOUNT}/{resource}{path}") == NOT_ALLOWED, (method, resource, path)


async def test_there_is_no_head(api: Client) -> None:
    for path in (APPLICATIONS, f"{APPLICATIONS}/1"):
        answer = await api.head(path)
        assert answer.status == 405, path
        assert "HEAD" not in answer.headers["Allow"].replace(" ", "").split(","), path


async def test_a_trailing_slash_leads_to_the_path_without_it(api: Client) -> None:
    answer = await api.put(f"{APPLICATIONS}/5/?a=%20b", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (308, f"{APPLICATIONS}/5?a=%20b")
    assert await answer.read() == b""


async def test_a_trailing_slash_loses_neither_method_nor_body(call: Call) -> None:
    status, row = await call("POST", f"{APPLICATIONS}/", json={"application_name": "app"})
    assert (status, row["application_name"]) == (201, "app")


async def test_a_trailing_slash_of_an_unknown_path_leads_nowhere(call: Call) -> None:
    for path in (f"{MOUNT}/nothing/", "/nothing/", f"{MOUNT}//applications/"):
        assert await call("GET", path, allow_redirects=False) == NOT_FOUND, path


async def test_every_route_wants_a_token(served: Served) -> None:
    client = served.client()
    for method, path, _ in ROUTES:
        answer = await client.request(method, path)
        assert (answer.status, await answer.json()) == (401, {"detail": "Not authenticated"}), (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_every_route_wants_its_own_permission(served: Served) -> None:
    for method, path, permission in ROUTES:
        others = [name for name in served.permissions if name != permission]
        answer = await served.client_as(*others).request(method, path, json={})
        assert (answer.status, await answer.json()) == (403, {"detail": "Not authorized"}), (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_every_route_wants_no_other_permission(served: Served) -> None:
    for method, path, permission in ROUTES:
        answer = await served.client_as(permission).request(method, path, json={})
        assert answer.status in {200, 404, 422}, (method, path)


async def test_the_scheme_of_the_token_may_be_in_any_case(served: Served) -> None:
    for scheme in ("bearer", "BEARER"):
        client = served.client({"Authorization": f"{scheme} {served.token()}"})
        assert (await client.get(APPLICATIONS)).status == 200


async def test_a_token_of_another_scheme_is_none(call: Call, served: Served) -> None:
    for header in (served.token(), f"Basic {served.token()}", "Bearer", "Bearer ", ""):
        client = served.client({"Authorization": header})
        assert await call("GET", APPLICATIONS, client) == (401, {"detail": "Not authenticated"})


async def test_what_is_not_permitted_is_not_done(call: Call, served: Served) -> None:
    body = {"application_name": "app", "application_identifier": "app"}
    viewer = served.client_as("jobbergate:applications:view")
    assert (await call("POST", APPLICATIONS, viewer, json=body))[0] == 403
    row = (await call("POST", APPLICATIONS, json=body))[1]
    assert (await call("DELETE", f"{APPLICATIONS}/{row['id']}", viewer))[0] == 403
    assert (await call("PUT", f"{APPLICATIONS}/{row['id']}", viewer, json={"is_archived": True}))[0] == 403
    assert (await call("GET", APPLICATIONS))[1]["results"] == [row]


async def test_deleting_answers_nothing_at_all(api: Client) -> None:
    row = await (await api.post(APPLICATIONS, json={"application_name": "app"})).json()
    answer = await api.delete(f"{APPLICATIONS}/{row['id']}")
    assert (answer.status, await answer.read()) == (204, b"")
    assert answer.headers.get("Content-Length", "0") == "0"
    assert "Content-Type" not in answer.headers
