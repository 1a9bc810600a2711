"""Tokens over time: new and withdrawn keys, what is remembered of a token, and input that is no token at all."""

from __future__ import annotations

import asyncio
import random
from itertools import product
from typing import TYPE_CHECKING

import pytest
from tokens import refused

from jobbergate_server.auth.identity import InvalidToken
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from core.auth.conftest import Clock, Keys, LocalProvider

    from jobbergate_server.auth.oidc import Provider

NOW = 1_800_000_000
LEEWAY = 10


async def test_a_new_key_of_the_provider_is_accepted_at_once(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    await verifier.verify(local.token(keys.rsa))
    local.publish(keys.rsa, keys.other)
    assert (await verifier.verify(local.token(keys.other))).subject == "someone"
    assert (await verifier.verify(local.token(keys.rsa))).subject == "someone"
    assert local.fetches == 2


async def test_fifty_tokens_of_an_unknown_key_at_once_cause_one_fetch(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    tokens = [local.token(keys.other, jti=str(number)) for number in range(50)]
    refusals = await asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)
    assert {str(refusal) for refusal in refusals} == {'the provider has no key with this "kid"'}
    assert local.fetches == 1


async def test_known_keys_work_while_the_provider_is_away(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    await verifier.verify(local.token(keys.rsa))
    local.away = True
    clock.now += 4000
    assert (await verifier.verify(local.token(keys.rsa))).subject == "someone"
    assert (await verifier.verify(local.token(keys.ec))).subject == "someone"
    assert local.fetches == 2


async def test_a_server_without_keys_tells_why_and_recovers(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    local.away = True
    token = local.token(keys.rsa)
    assert (await refused(verifier, token)).endswith("returned status 503")
    local.away = False
    clock.now += 1
    assert (await verifier.verify(token)).subject == "someone"


async def test_a_token_that_was_verified_is_not_verified_again(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    token = local.token(keys.rsa)
    assert await verifier.verify(token) is await verifier.verify(token)


async def test_a_verified_token_is_refused_once_it_expires(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, today: Clock
) -> None:
    token = local.token(keys.rsa, exp=NOW + 60)
    identity = await verifier.verify(token)
    today.now += 60 + LEEWAY - 0.1
    assert await verifier.verify(token) is identity
    today.now += 0.1
    assert await refused(verifier, token) == "the token has expired"


async def test_a_verified_token_is_refused_once_its_key_is_withdrawn(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    token, staying = local.token(keys.rsa), local.token(keys.ec)
    await verifier.verify(token)
    await verifier.verify(staying)
    local.publish(keys.ec)
    clock.now += 3599
    await verifier.verify(token)
    clock.now += 1
    assert await refused(verifier, token) == 'the provider has no key with this "kid"'
    assert (await verifier.verify(staying)).subject == "someone"


async def test_a_refresh_for_another_key_ends_the_withdrawn_one_too(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    token = local.token(keys.rsa)
    await verifier.verify(token)
    local.publish(keys.other)
    await verifier.verify(local.token(keys.other))
    assert await refused(verifier, token) == 'the provider has no key with this "kid"'


async def test_only_the_latest_tokens_are_remembered(
    local: LocalProvider, provider: Provider, keys: Keys, today: Clock
) -> None:
    verifier = TokenVerifier(provider, Oidc(issuer=local.url), clock=today, cache_size=2)
    tokens = [local.token(keys.ec, jti=name) for name in "abc"]
    first, second, third = [await verifier.verify(token) for token in tokens]
    assert await verifier.verify(tokens[2]) is third
    assert await verifier.verify(tokens[1]) is second
    assert await verifier.verify(tokens[0]) is not first


ALGORITHMS: list[object] = [None, 7, True, [], {}, ["RS256"], "", "rs256", "RS256 ", "NONE", "ES256"]
HEADERS: list[object] = [
    b"",
    b"{",
    b"\xff",
    b'{"alg":"RS256","kid":"\\ud800"}',
    b'{"alg":1e400,"kid":"rsa"}',
    b'{"alg":"RS256","kid":1e400}',
    b'{"alg":"RS256","kid":"rsa","x":' + b"9" * 5000 + b"}",
    b'{"alg":"RS256","kid":"rsa","x":' + b"[" * 5000 + b"}",
    b"[" * 5000 + b"]" * 5000,
    None,
    7,
    "alg",
    "alg b64 crit",
    ["alg"],
    ["alg", "b64"],
    {},
    *({"alg": alg, "kid": "rsa"} for alg in ALGORITHMS),
    *({"alg": "RS256", "kid": "rsa", "b64": b64} for b64 in [False, None, 7, "false"]),
    *({"alg": "RS256", "kid": "rsa", name: 7} for name in ["typ", "cty", "jku", "jwk", "x5c", "x5t", "x5t#S256"]),
]
PAYLOADS: list[object] = [
    b"",
    b"{",
    b"\xff",
    b"[" * 1000,
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b'{"sub":"\\ud800"}',
    None,
    7,
    "text",
    [],
    {},
    {"exp": NOW + 600},
]


async def test_whatever_is_no_good_token_is_refused_and_nothing_else_happens(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    good_header, good_payload = {"alg": "RS256", "kid": "rsa"}, {"iss": local.url, "sub": "x", "exp": NOW + 600}
    tokens = [local.sign(header, payload, keys.rsa) for header, payload in product(HEADERS, [good_payload, *PAYLOADS])]
    tokens += [local.sign(good_header, payload, keys.rsa) for payload in PAYLOADS]
    for token in tokens:
        await refused(verifier, token)


@pytest.mark.parametrize("kind", ["rsa", "ec", "okp"])
async def test_whatever_is_left_of_a_token_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, kind: str
) -> None:
    token = local.token(getattr(keys, kind))
    for end in range(len(token)):
        await refused(verifier, token[:end])
    for extra in ["=", ".", " ", "\n", "A", "\0", "ä", "\udcff"]:
        await refused(verifier, token + extra)
        await refused(verifier, extra + token)


async def test_random_text_is_refused(local: LocalProvider, verifier: TokenVerifier, keys: Keys) -> None:
    dice = random.Random(20261123)  # noqa: S311 - the same tokens in every run
    token = local.token(keys.rsa)
    alphabet = "".join(map(chr, range(256))) + "\udcff\U0001f600"
    for _ in range(2000):
        await refused(verifier, "".join(dice.choices(alphabet, k=dice.randrange(200))))
        await refused(verifier, ".".join("".join(dice.choices("AQgw_-ey", k=dice.randrange(40))) for _ in range(3)))
        at = dice.randrange(len(token))
        other = dice.choice([char for char in alphabet if char != token[at]])
        await refused(verifier, token[:at] + other + token[at + 1 :])


async def test_the_reason_of_a_refusal_holds_nothing_of_the_token(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    for header in [
        {"alg": "SECRET", "kid": "rsa"},
        {"alg": "RS256", "kid": "SECRET"},
        {"alg": "RS256", "kid": "rsa", "jku": "SECRET"},
    ]:
        with pytest.raises(InvalidToken) as refusal:
            await verifier.verify(local.sign(header, {"sub": "SECRET"}, keys.rsa))
        assert "SECRET" not in str(refusal.value)
        assert refusal.value.__cause__ is None
