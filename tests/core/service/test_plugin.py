"""The pages of the service: who may see them, what they answer, and with which headers."""

import re

import pytest

from jobbergate_devkit.testing import Client, MakeApp, Served
from jobbergate_server import __version__
from jobbergate_server.service.plugin import SWAGGER, SWAGGER_FILES

CONTENT_TYPES = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


@pytest.fixture
async def visitor(served: Served) -> Client:
    """A client without a token."""
    return served.client()


async def test_health_is_empty(visitor: Client) -> None:
    response = await visitor.get("/jobbergate/health")
    assert (response.status, await response.read()) == (204, b"")


async def test_ready_names_every_part(visitor: Client) -> None:
    response = await visitor.get("/jobbergate/ready")
    answer = await response.json()
    assert (response.status, answer["ready"]) == (200, True)
    assert {"database", "schema", "issuer"} <= answer["checks"].keys()
    assert set(answer["checks"].values()) == {"ok"}


async def test_the_document_is_json_for_everybody(visitor: Client) -> None:
    response = await visitor.get("/jobbergate/openapi.json")
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert (await response.json())["info"]["title"] == "Jobbergate Server"


async def test_the_page_loads_nothing_from_elsewhere(visitor: Client) -> None:
    response = await visitor.get("/jobbergate/docs")
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    addresses = re.findall(r'(?:src|href)="([^"]*)"', await response.text())
    assert sorted(addresses) == sorted(f"/jobbergate/docs/{name}" for name in CONTENT_TYPES)


async def test_the_files_of_the_page_are_served_with_their_content_types(visitor: Client) -> None:
    for name, content_type in CONTENT_TYPES.items():
        response = await visitor.get(f"/jobbergate/docs/{name}")
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == (SWAGGER / name).read_bytes()


async def test_a_file_that_is_still_current_is_not_sent_again(visitor: Client) -> None:
    first = await visitor.get("/jobbergate/docs/swagger-ui.css")
    assert first.headers["Cache-Control"] == "no-cache"
    assert "Last-Modified" in first.headers
    again = await visitor.get("/jobbergate/docs/swagger-ui.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("name", ["swagger-ui.css.map", "README.md", "LICENSE", "..%2Fservice.py", "%2e%2e", "%00"])
async def test_no_other_file_is_served(visitor: Client, name: str) -> None:
    response = await visitor.get(f"/jobbergate/docs/{name}")
    assert (response.status, await response.json()) == (404, {"detail": "Not Found"})


def test_the_files_are_vendored_with_their_licences_and_without_source_maps() -> None:
    assert SWAGGER_FILES == CONTENT_TYPES
    for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"):
        assert (SWAGGER / name).stat().st_size
    bundle = (SWAGGER / "swagger-ui-bundle.js").read_text()
    (version,) = set(re.findall(r'PACKAGE_VERSION:"([\d.]+)"', bundle))
    readme = (SWAGGER / "README.md").read_text()
    assert version.startswith("5.")
    assert f"**{version}**" in readme
    assert "Apache License 2.0" in readme
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert "sourceMappingURL" not in (SWAGGER / name).read_text()


async def test_the_plugins_are_for_those_who_hold_a_token(served: Served, visitor: Client) -> None:
    refused = await visitor.get("/jobbergate/plugins")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    allowed = await served.client_as("no:such:permission", email=None).get("/jobbergate/plugins")
    assert allowed.status == 200


async def test_the_plugins_are_listed_with_their_states(make_app: MakeApp) -> None:
    served = await make_app(settings={"plugins": {"disabled": ["job-submissions", "email-notifications"]}})
    response = await served.client_as().get("/jobbergate/plugins")
    plugins = {plugin["name"]: plugin for plugin in (await response.json())["plugins"]}
    assert list(plugins["service"]) == ["name", "version", "state", "reason"]
    assert plugins["service"] == {"name": "service", "version": __version__, "state": "active", "reason": None}
    assert plugins["job-scripts"]["state"] == "active"
    submissions = plugins["job-submissions"]
    assert (submissions["state"], submissions["reason"]) == ("disabled", "disabled in the settings")
    assert (await served.client_as().get("/jobbergate/job-submissions")).status == 404
