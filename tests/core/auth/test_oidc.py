"""When the keys of the provider are fetched, and what happens when they cannot be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from ports import unused_port

from jobbergate_server.auth.oidc import Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.auth.conftest import Clock, Keys, LocalProvider
    from pytest_aiohttp.plugin import AiohttpServer

DISCOVERY = "/oidc/.well-known/openid-configuration"


@pytest.fixture
async def provider(local: LocalProvider, clock: Clock) -> AsyncIterator[Provider]:
    async with Provider(local.url, keys_max_age=3600, cooldown=30, clock=clock) as provider:
        yield provider


async def test_nothing_is_fetched_before_a_key_is_needed(local: LocalProvider, provider: Provider) -> None:
    assert not provider.ready
    assert provider.reason == "the keys of the provider were not fetched yet"
    assert local.fetches == 0


async def test_a_refresh_makes_the_provider_ready(local: LocalProvider, provider: Provider) -> None:
    await provider.refresh()
    assert provider.ready
    assert provider.reason is None
    assert local.requests == {DISCOVERY: 1, "/oidc/jwks": 1}


async def test_a_slash_at_the_end_of_the_issuer_is_part_of_its_name(local: LocalProvider, clock: Clock) -> None:
    local.document["issuer"] = local.url + "/"
    async with Provider(local.url + "/", clock=clock) as provider:
        await provider.refresh()
        assert provider.ready
    async with Provider(local.url, clock=clock) as provider:
        await provider.refresh()
        assert provider.reason == '"issuer" of the discovery document does not match oidc.issuer'
    assert local.fetches == 2


async def test_known_keys_are_not_fetched_again(local: LocalProvider, provider: Provider) -> None:
    for kid in ["rsa", "ec", "okp", "rsa"]:
        key = await provider.key(kid)
        assert key is not None
        assert key.kid == kid
    assert local.fetches == 1


async def test_the_name_of_a_key_is_matched_exactly(provider: Provider) -> None:
    assert await provider.key("RSA") is None
    assert await provider.key("rsa ") is None
    assert await provider.key("") is None


async def test_a_key_that_is_new_is_found_at_once(local: LocalProvider, provider: Provider, keys: Keys) -> None:
    await provider.refresh()
    generation = provider.generation
    local.publish(keys.rsa, keys.other)
    assert await provider.key("other") is not None
    assert provider.generation != generation
    assert local.fetches == 2


async def test_many_unknown_keys_cause_one_fetch_in_a_cool_down(
    local: LocalProvider, provider: Provider, clock: Clock
) -> None:
    await provider.refresh()
    for number in range(100):
        assert await provider.key(f"unknown-{number}") is None
    assert local.fetches == 2
    clock.now += 29.9
    assert await provider.key("unknown") is None
    assert local.fetches == 2
    clock.now += 0.1
    assert await provider.key("unknown") is None
    assert local.fetches == 3


async def test_fifty_requests_at_once_share_one_fetch(local: LocalProvider, provider: Provider, keys: Keys) -> None:
    await provider.refresh()
    local.publish(keys.other)
    found = await asyncio.gather(*(provider.key("other") for _ in range(50)))
    assert all(found)
    assert local.fetches == 2


async def test_a_client_that_hangs_up_leaves_the_fetch_to_the_others(local: LocalProvider, provider: Provider) -> None:
    local.gate = asyncio.Event()
    first, second = (asyncio.create_task(provider.key("rsa")) for _ in range(2))
    await local.asked.wait()
    first.cancel()
    local.gate.set()
    assert await second is not None
    assert first.cancelled()
    assert local.fetches == 1


async def test_closing_ends_the_fetch_that_is_under_way(local: LocalProvider) -> None:
    local.gate = asyncio.Event()
    async with Provider(local.url) as provider:
        waiting = asyncio.create_task(provider.refresh())
        await local.asked.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    local.gate.set()


async def test_keys_are_fetched_again_when_they_are_too_old(
    local: LocalProvider, provider: Provider, clock: Clock
) -> None:
    await provider.refresh()
    generation = provider.generation
    clock.now += 3599.9
    assert await provider.key("rsa") is not None
    assert local.fetches == 1
    clock.now += 0.1
    assert provider.due
    assert await provider.key("rsa") is not None
    assert local.fetches == 2
    assert provider.generation == generation


async def test_a_withdrawn_key_is_unknown_after_the_next_refresh(
    local: LocalProvider, provider: Provider, clock: Clock
) -> None:
    assert await provider.key("rsa") is not None
    generation = provider.generation
    local.keys = []
    clock.now += 3600
    assert await provider.key("rsa") is None
    assert provider.generation != generation
    assert not provider.ready
    assert provider.reason == "the provider publishes no usable signing key"


async def test_known_keys_work_while_the_provider_is_away(
    local: LocalProvider, provider: Provider, clock: Clock
) -> None:
    await provider.refresh()
    local.away = True
    clock.now += 3600
    for _ in range(100):
        assert await provider.key("rsa") is not None
        assert await provider.key("unknown") is None
    assert local.fetches == 2
    assert provider.ready
    clock.now += 30
    assert await provider.key("rsa") is not None
    assert local.fetches == 3


async def test_a_search_that_fails_starts_the_cool_down_too(
    local: LocalProvider, provider: Provider, clock: Clock
) -> None:
    await provider.refresh()
    local.away = True
    clock.now += 3590
    assert await provider.key("unknown") is None
    clock.now += 15
    assert await provider.key("unknown") is None
    assert await provider.key("rsa") is not None
    assert local.fetches == 2


async def test_the_server_recovers_within_a_second_of_a_provider_that_was_down_at_its_start(
    aiohttp_server: AiohttpServer, local: LocalProvider, clock: Clock
) -> None:
    port = unused_port()
    local.url = f"http://127.0.0.1:{port}/oidc"
    async with Provider(local.url, clock=clock) as provider:
        assert await provider.key("rsa") is None
        assert provider.reason is not None
        assert str(port) in provider.reason
        await aiohttp_server(local.application(), port=port)
        assert await provider.key("rsa") is None
        assert local.fetches == 0
        clock.now += 1
        assert await provider.key("rsa") is not None
        assert provider.reason is None
        assert local.fetches == 1


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "http://127.0.0.1/other"}, '"issuer" of the discovery document does not match oidc.issuer'),
        ({"issuer": None}, '"issuer" of the discovery document does not match oidc.issuer'),
        ({"jwks_uri": None}, '"jwks_uri" of the discovery document must be an https URL'),
        ({"jwks_uri": ["https://127.0.0.1"]}, '"jwks_uri" of the discovery document must be an https URL'),
        ({"jwks_uri": "file:///etc/passwd"}, '"jwks_uri" of the discovery document must be an https URL'),
        ({"jwks_uri": "/oidc/jwks"}, '"jwks_uri" of the discovery document must be an https URL'),
    ],
)
async def test_a_discovery_document_that_is_wrong_is_refused(
    local: LocalProvider, provider: Provider, document: dict[str, Any], reason: str
) -> None:
    local.document = document
    await provider.refresh()
    assert provider.reason == reason
    assert local.requests == {DISCOVERY: 1}


def test_keys_over_http_are_for_an_issuer_over_http_only() -> None:
    secure, loopback = Provider("https://id.example.com"), Provider("http://localhost:8080")
    assert secure._checked("https://keys.example.com/jwks") == "https://keys.example.com/jwks"  # noqa: SLF001 - TLS has no local end
    assert loopback._checked("http://localhost:8080/jwks") == "http://localhost:8080/jwks"  # noqa: SLF001 - likewise
    with pytest.raises(Exception, match="must be an https URL"):
        secure._checked("http://keys.example.com/jwks")  # noqa: SLF001 - likewise


@pytest.mark.parametrize("path", [DISCOVERY, "/oidc/jwks"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 500}, "returned status 500"),
        ({"status": 302, "headers": {"Location": "/oidc/elsewhere"}}, "returned status 302"),
        ({"text": "<html>"}, "did not return a JSON object"),
        ({"body": b"\xff\xfe"}, "did not return a JSON object"),
        ({"text": "[]"}, "did not return a JSON object"),
        ({"text": "[" * 100_000}, "did not return a JSON object"),
        ({"text": f'{{"keys": [], "padding": "{"x" * 1024 * 1024}"}}'}, "returned more than 1048576 bytes"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_a_failed_fetch(
    local: LocalProvider, provider: Provider, path: str, answer: dict[str, Any], reason: str
) -> None:
    local.answers[path] = web.Response(**answer)
    await provider.refresh()
    assert provider.reason is not None
    assert provider.reason.endswith(f"{path} {reason}")


@pytest.mark.parametrize("key_set", [{}, {"keys": None}, {"keys": {"rsa": {}}}])
async def test_a_key_set_without_a_list_of_keys_is_a_failed_fetch(
    local: LocalProvider, provider: Provider, clock: Clock, key_set: dict[str, object]
) -> None:
    await provider.refresh()
    local.answers["/oidc/jwks"] = web.json_response(key_set)
    clock.now += 3600
    assert await provider.key("rsa") is not None
    assert local.fetches == 2


async def test_a_malformed_key_leaves_the_others_working(local: LocalProvider, provider: Provider, keys: Keys) -> None:
    good = keys.rsa.as_dict(private=False)
    malformed: list[Any] = [
        None,
        "rsa",
        {},
        {**good, "kid": None},
        {**good, "kid": 7},
        {name: value for name, value in good.items() if name != "kid"},
        {**good, "kid": "no-modulus", "n": ""},
        {**good, "kid": "bad-modulus", "n": "!"},
        {**good, "kid": "short", "n": "0vx7"},
        {**good, "kid": "number", "n": 7},
        {**good, "kid": "listed", "kty": ["RSA"]},
        {"kty": "EC", "kid": "curve", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "off-curve", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "OKP", "kid": "okp", "crv": "Ed25519", "x": "AA"},
        {**good, "kid": "operations", "key_ops": 7},
    ]
    local.keys = [*malformed, good]
    for entry in malformed:
        assert not isinstance(entry, dict) or await provider.key(str(entry.get("kid"))) is None
    assert await provider.key("rsa") is not None


async def test_only_asymmetric_keys_for_signatures_are_taken(
    local: LocalProvider, provider: Provider, keys: Keys
) -> None:
    good = keys.rsa.as_dict(private=False)
    local.keys = [
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        {**good, "kid": "encryption", "use": "enc"},
        {**good, "kid": "null", "use": None},
        {**good, "kid": "signatures", "use": "sig"},
        {name: value for name, value in {**good, "kid": "any"}.items() if name != "use"},
    ]
    taken = [key["kid"] for key in local.keys if await provider.key(key["kid"]) is not None]
    assert taken == ["signatures", "any"]


async def test_a_session_that_is_handed_in_is_left_open(local: LocalProvider) -> None:
    async with aiohttp.ClientSession() as session:
        async with Provider(local.url, session=session) as provider:
            await provider.refresh()
            assert provider.ready
        assert not session.closed
