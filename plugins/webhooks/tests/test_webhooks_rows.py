"""Webhooks: each is its owner's alone, and its secret is shown once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from wire import IMPOSSIBLE_IDS, too_long, wrong

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served
    from plugins.webhooks.tests.conftest import MakeSite, Site

URL = "/jobbergate/webhooks"
TARGET = "https://example.com/hook"
EVENTS = ["job_submission.completed", "job_submission.failed"]
BODY = {"url": TARGET, "events": EVENTS}
KEYS = ["id", "created_at", "updated_at", "owner_email", "url", "events", "is_enabled"]
HOST = "must be a URL with a host, without white space"
PRIVATE = "the address is neither public nor in allowed_networks of this server"


@pytest.fixture
async def webhook(call: Call) -> dict[str, Any]:
    status, webhook = await call("POST", URL, json=BODY)
    assert status == 201
    assert isinstance(webhook, dict)
    return webhook


async def test_the_secret_is_random_and_shown_when_the_webhook_is_added_and_never_again(
    call: Call, webhook: dict[str, Any]
) -> None:
    path = f"{URL}/{webhook['id']}"
    assert list(webhook) == [*KEYS, "secret"]
    key = webhook.pop("secret").removeprefix("whsec_")
    assert len(base64.b64decode(key, validate=True)) == 32
    assert webhook | BODY | {"owner_email": "owner@example.com", "is_enabled": True} == webhook
    assert await call("GET", path) == (200, webhook)
    assert (await call("GET", URL))[1]["results"] == [webhook]
    _, changed = await call("PUT", path, json={})
    assert list(changed) == KEYS
    _, other = await call("POST", URL, json=BODY)
    assert key not in other["secret"]


async def test_a_webhook_can_be_changed_in_parts(call: Call, webhook: dict[str, Any]) -> None:
    path = f"{URL}/{webhook['id']}"
    for change in ({"url": "https://example.org/"}, {"events": ["job_script.created"]}, {"is_enabled": False}):
        status, changed = await call("PUT", path, json=change)
        assert (status, changed | change) == (200, changed)
    assert changed["url"] == "https://example.org/"
    assert changed["events"] == ["job_script.created"]
    assert changed["updated_at"] > webhook["updated_at"]


async def test_an_event_that_is_named_twice_counts_once(call: Call) -> None:
    _, webhook = await call("POST", URL, json={**BODY, "events": [*EVENTS, *EVENTS]})
    assert webhook["events"] == EVENTS


async def test_a_deleted_webhook_is_gone(call: Call, webhook: dict[str, Any]) -> None:
    path = f"{URL}/{webhook['id']}"
    assert await call("DELETE", path) == (204, None)
    gone = {"detail": f"Could not find webhooks instance with id {webhook['id']}"}
    for method, end in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/deliveries")):
        assert await call(method, path + end, json={}) == (404, gone)


async def test_nobody_else_sees_or_changes_a_webhook(served: Served, call: Call, webhook: dict[str, Any]) -> None:
    stranger, path = served.client_as(email="stranger@example.com"), f"{URL}/{webhook['id']}"
    for method, end in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/deliveries")):
        status, answer = await call(method, path + end, stranger, json={})
        assert (status, "stranger@example.com does not own webhook" in answer["detail"]) == (403, True)
    _, listed = await call("GET", URL, stranger)
    assert listed["results"] == []
    assert listed["pagination"]["total"] == 0


async def test_a_token_needs_permissions_and_an_address(served: Served, call: Call, webhook: dict[str, Any]) -> None:
    path = f"{URL}/{webhook['id']}"
    viewer, editor = (served.client_as(f"jobbergate:webhooks:{name}") for name in ("view", "edit"))
    assert [(await call("GET", it, viewer))[0] for it in (URL, path, f"{path}/deliveries")] == [200] * 3
    assert [(await call("GET", it, editor))[0] for it in (URL, path, f"{path}/deliveries")] == [403] * 3
    assert (await call("POST", URL, viewer, json=BODY))[0] == 403
    assert (await call("POST", URL, editor, json=BODY))[0] == 201
    assert (await call("POST", URL, served.client_as(email=None), json=BODY))[0] == 403


async def test_no_id_is_too_strange(call: Call) -> None:
    for number in IMPOSSIBLE_IDS:
        for end in ("", "/deliveries"):
            assert (await call("GET", f"{URL}/{number}{end}"))[0] == 404


async def test_an_unknown_event_is_refused_with_those_that_exist(call: Call) -> None:
    status, answer = await call("POST", URL, json={**BODY, "events": [*EVENTS, "job_submission.done"]})
    assert status == 422
    (error,) = answer["detail"]
    assert (error["loc"], error["type"]) == (["body", "events", 2], "type_error.enum")
    assert error["ctx"]["enum_values"] == sorted(error["ctx"]["enum_values"])
    assert {*EVENTS, "application.created", "job_script.deleted"} <= set(error["ctx"]["enum_values"])
    assert "permitted: 'application.created', " in error["msg"]


async def test_what_is_not_possible_is_told_with_its_field(call: Call, webhook: dict[str, Any]) -> None:
    least = wrong("events", "ensure this value has at least 1 items", "value_error.list.min_items", limit_value=1)
    missing = ("field required", "value_error.missing")
    for method, path in (("POST", URL), ("PUT", f"{URL}/{webhook['id']}")):
        assert await call(method, path, json={**BODY, "events": []}) == least
        assert await call(method, path, json={**BODY, "url": "https://x/" + "y" * 2048}) == too_long("url", 2048)
        assert (await call(method, path, json={**BODY, "url": None}))[0] == 422
        assert (await call(method, path, json={**BODY, "events": "all"}))[0] == 422
    assert await call("POST", URL, json={"url": TARGET}) == wrong("events", *missing)
    assert await call("POST", URL, json={"events": EVENTS}) == wrong("url", *missing)
    both = await call("POST", URL, json={"url": "x", "events": ["y"]})
    assert [error["loc"] for error in both[1]["detail"]] == [["body", "url"], ["body", "events", 0]]


async def test_a_url_is_https_and_leads_to_a_public_host(call: Call) -> None:
    refused = {
        "": HOST,
        "https://": HOST,
        "/hook": HOST,
        "https://exam ple.com": HOST,
        "https://example.com/\n": HOST,
        "https://[::1": "must be a URL",
        "https://example.com:99999": "must be a URL",
        "http://example.com": "must be an https URL",
        "ftp://example.com": "must be an https URL",
        "https://user@example.com": "must not contain a user or a password",
        "https://user:secret@example.com": "must not contain a user or a password",
        "https://:@example.com": "must not contain a user or a password",
        "https://127.0.0.1/hook": PRIVATE,
        "https://10.0.0.1:8443": PRIVATE,
        "https://[::1]/": PRIVATE,
        "https://[::ffff:169.254.169.254]/latest": PRIVATE,
    }
    for url, msg in refused.items():
        assert await call("POST", URL, json={**BODY, "url": url}) == wrong("url", msg, "value_error"), url
    for url in ("https://example.com", "https://müller.example:8443/hook?for=me", "https://1.1.1.1/"):
        status, webhook = await call("POST", URL, json={**BODY, "url": url})
        assert (status, webhook["url"]) == (201, url)


async def test_the_settings_allow_addresses_and_plain_http_to_them(make_site: MakeSite) -> None:
    site: Site = await make_site(networks=["10.20.0.0/16", "fd00::/8"])
    for url, status in {
        "https://10.20.0.1": 201,
        "http://10.20.0.1": 201,
        "http://[fd00::1]:8080/": 201,
        "http://portal.site.local": 201,
        "https://10.21.0.1": 422,
        "http://10.21.0.1": 422,
        "http://1.1.1.1": 422,
        "ftp://10.20.0.1": 422,
    }.items():
        assert (await site.call("POST", URL, json={**BODY, "url": url}))[0] == status, url
