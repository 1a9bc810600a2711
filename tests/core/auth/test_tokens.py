"""Which tokens are accepted: signatures, headers and claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from tokens import refused

from jobbergate_server.auth.identity import Identity
from jobbergate_server.auth.tokens import MAX_TOKEN_LENGTH, TokenVerifier
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from core.auth.conftest import Clock, Keys, LocalProvider
    from joserfc.jwk import Key

    from jobbergate_server.auth.oidc import Provider

NOW = 1_800_000_000
LEEWAY = 10


@pytest.mark.parametrize("kind", ["rsa", "ec", "okp"])
async def test_rs256_es256_and_ed25519_are_accepted(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, kind: str
) -> None:
    token = local.token(getattr(keys, kind))
    assert await verifier.verify(token) == Identity("someone", frozenset({"a:read"}))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS512", RSAKey.generate_key(2048, {"kid": "key"})),
        ("PS256", RSAKey.generate_key(2048, {"kid": "key"})),
        ("ES384", ECKey.generate_key("P-384", {"kid": "key"})),
        ("ES512", ECKey.generate_key("P-521", {"kid": "key"})),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "key"})),
    ],
)
async def test_another_algorithm_is_accepted_only_when_it_is_listed(
    local: LocalProvider, provider: Provider, today: Clock, algorithm: str, key: Key
) -> None:
    local.publish(key)
    token = local.token(key, algorithm)
    listing = TokenVerifier(provider, Oidc(issuer=local.url, algorithms=[algorithm]), clock=today)
    other = TokenVerifier(provider, Oidc(issuer=local.url), clock=today)
    assert (await listing.verify(token)).subject == "someone"
    assert await refused(other, token) == 'header "alg" is not listed in oidc.algorithms'


async def test_a_token_without_a_signature_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    token = local.sign({"alg": "none", "kid": "rsa"}, {"sub": "someone"}, keys.rsa, "none")
    assert token.endswith(".")
    assert await refused(verifier, token) == 'header "alg" is not listed in oidc.algorithms'
    assert await refused(verifier, local.token(keys.rsa).rpartition(".")[0] + ".") == "the signature is invalid"


async def test_a_public_key_is_no_shared_secret(local: LocalProvider, verifier: TokenVerifier, keys: Keys) -> None:
    for public in [keys.rsa.as_pem(), keys.rsa.as_der()]:
        secret = OctKey(public, public, {"kid": "rsa"})
        token = local.sign({"alg": "HS256", "kid": "rsa"}, {"sub": "someone"}, secret, "HS256")
        assert await refused(verifier, token) == 'header "alg" is not listed in oidc.algorithms'


async def test_a_key_signs_with_no_algorithm_but_its_own(
    local: LocalProvider, provider: Provider, today: Clock
) -> None:
    key = RSAKey.generate_key(2048, {"kid": "key", "alg": "RS512"})
    local.publish(key)
    verifier = TokenVerifier(provider, Oidc(issuer=local.url, algorithms=["RS256", "RS512"]), clock=today)
    assert await refused(verifier, local.token(key, "RS256")) == "unsupported_key_alg"
    assert (await verifier.verify(local.token(key, "RS512"))).subject == "someone"


async def test_a_key_of_another_kind_than_the_algorithm_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    token = local.sign({"alg": "ES256", "kid": "rsa"}, {"sub": "someone"}, keys.ec)
    assert await refused(verifier, token) == "invalid_key_type"


async def test_a_token_of_a_key_that_only_bears_the_name_is_refused(
    local: LocalProvider, verifier: TokenVerifier
) -> None:
    forger = RSAKey.generate_key(2048, {"kid": "rsa"})
    assert await refused(verifier, local.token(forger)) == "the signature is invalid"


async def test_claims_that_were_changed_are_refused(local: LocalProvider, verifier: TokenVerifier, keys: Keys) -> None:
    header, _, signature = local.token(keys.rsa).split(".")
    _, payload, _ = local.token(keys.rsa, sub="somebody else").split(".")
    assert await refused(verifier, f"{header}.{payload}.{signature}") == "the signature is invalid"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
async def test_a_key_in_the_token_itself_is_never_used(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, name: str
) -> None:
    forger = RSAKey.generate_key(2048, {"kid": "rsa"})
    jwk = forger.as_dict(private=False)
    brought = {"jwk": jwk, "jku": f"{local.url}/forged", "x5u": f"{local.url}/forged", "x5c": ["AA"]}[name]
    claims = {"iss": local.url, "sub": "someone", "exp": NOW + 600}
    for kid in ["rsa", "forged"]:
        token = local.sign({"alg": "RS256", "kid": kid, name: brought}, claims, forger)
        assert await refused(verifier, token) in {"the signature is invalid", 'the provider has no key with this "kid"'}
    assert f"{local.url}/forged" not in local.requests
    good = local.sign({"alg": "RS256", "kid": "rsa", name: brought}, claims, keys.rsa)
    assert (await verifier.verify(good)).subject == "someone"


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, 7, "exp"])
async def test_a_header_that_demands_an_extension_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, crit: object
) -> None:
    token = local.sign({"alg": "RS256", "kid": "rsa", "crit": crit, "exp": 1, "b64": True}, {"sub": "x"}, keys.rsa)
    assert "extension" in await refused(verifier, token)


async def test_a_header_may_hold_what_this_server_does_not_know(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    header = {"alg": "RS256", "kid": "rsa", "nonce": "x" * 2000}
    token = local.sign(header, {"iss": local.url, "sub": "someone", "exp": NOW + 600}, keys.rsa)
    assert (await verifier.verify(token)).subject == "someone"


@pytest.mark.parametrize("kid", [None, 7, ["rsa"], {}, True])
async def test_a_header_must_name_its_key_in_text(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, kid: object
) -> None:
    assert (
        await refused(verifier, local.sign({"alg": "RS256", "kid": kid}, {}, keys.rsa))
        == 'header "kid" must be a string'
    )
    assert await refused(verifier, local.sign({"alg": "RS256"}, {}, keys.rsa)) == 'header "kid" must be a string'
    assert local.fetches == 0


async def test_an_encrypted_token_is_refused(verifier: TokenVerifier) -> None:
    assert await refused(verifier, "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA") == "decode_error"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - LEEWAY}, "the token has expired"),
        ({"exp": 0}, "the token has expired"),
        ({"exp": -1e308}, "the token has expired"),
        ({"exp": None}, 'claim "exp" must be a number'),
        ({"exp": str(NOW + 600)}, 'claim "exp" must be a number'),
        ({"exp": True}, 'claim "exp" must be a number'),
        ({"exp": [NOW + 600]}, 'claim "exp" must be a number'),
        ({"iat": NOW + LEEWAY + 1}, 'claim "iat" is in the future'),
        ({"iat": 1e308}, 'claim "iat" is in the future'),
        ({"iat": None}, 'claim "iat" must be a number'),
        ({"iat": "now"}, 'claim "iat" must be a number'),
        ({"iat": False}, 'claim "iat" must be a number'),
        ({"nbf": NOW + LEEWAY + 1}, 'claim "nbf" is in the future'),
        ({"nbf": None}, 'claim "nbf" must be a number'),
        ({"nbf": True}, 'claim "nbf" must be a number'),
        ({"iss": "https://elsewhere.example.com"}, 'claim "iss" does not match oidc.issuer'),
        ({"iss": None}, 'claim "iss" does not match oidc.issuer'),
        ({"iss": ["http://127.0.0.1"]}, 'claim "iss" does not match oidc.issuer'),
        ({"aud": "jobbergate"}, 'claim "aud" is present, but oidc.audience is not set'),
        ({"aud": []}, 'claim "aud" is present, but oidc.audience is not set'),
        ({"aud": None}, 'claim "aud" is present, but oidc.audience is not set'),
        ({"sub": ""}, 'claim "sub" must be a non-empty string'),
        ({"email": "nobody"}, 'claim "email" must be an e-mail address'),
    ],
)
async def test_a_claim_that_is_wrong_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, claims: dict[str, Any], reason: str
) -> None:
    assert await refused(verifier, local.token(keys.rsa, **claims)) == reason


@pytest.mark.parametrize("claim", ["exp", "iss", "sub"])
async def test_expiry_issuer_and_subject_are_required(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, claim: str
) -> None:
    assert (await refused(verifier, local.token(keys.rsa, without=claim))).startswith(f'claim "{claim}" ')


async def test_an_issuer_that_differs_in_a_slash_is_another_one(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    assert "iss" in await refused(verifier, local.token(keys.rsa, iss=local.url + "/"))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - LEEWAY + 1},
        {"exp": NOW + 0.5},
        {"exp": 1e30},
        {"iat": NOW + LEEWAY},
        {"iat": 0.0},
        {"nbf": NOW + LEEWAY},
        {"nbf": NOW - 600},
    ],
)
async def test_clocks_may_differ_by_the_leeway(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, claims: dict[str, Any]
) -> None:
    assert (await verifier.verify(local.token(keys.rsa, **claims))).subject == "someone"


async def test_the_moment_of_issue_is_optional(local: LocalProvider, verifier: TokenVerifier, keys: Keys) -> None:
    assert (await verifier.verify(local.token(keys.rsa, without="iat"))).subject == "someone"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "1" * 5000])
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "other"])
async def test_numbers_without_bounds_are_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys, claim: str, number: str
) -> None:
    payload = f'{{"iss":"{local.url}","sub":"someone","exp":{NOW + 600},"{claim}":{number}}}'
    token = local.sign({"alg": "RS256", "kid": "rsa"}, payload.encode(), keys.rsa)
    assert await refused(verifier, token) == "the token is malformed"


@pytest.fixture
def for_jobbergate(local: LocalProvider, provider: Provider, today: Clock) -> TokenVerifier:
    return TokenVerifier(provider, Oidc(issuer=local.url, audience="jobbergate"), clock=today)


@pytest.mark.parametrize("aud", ["jobbergate", ["jobbergate"], ["other", "jobbergate"]])
async def test_a_token_for_the_configured_audience_is_accepted(
    local: LocalProvider, for_jobbergate: TokenVerifier, keys: Keys, aud: object
) -> None:
    assert (await for_jobbergate.verify(local.token(keys.rsa, aud=aud))).subject == "someone"


@pytest.mark.parametrize(
    "aud",
    [
        "Jobbergate",
        "jobbergate-other",
        "other jobbergate",
        "",
        ["other"],
        [],
        ["jobbergate", 7],
        [["jobbergate"]],
        {"jobbergate": True},
        None,
        7,
    ],
)
async def test_a_token_that_is_not_for_the_configured_audience_is_refused(
    local: LocalProvider, for_jobbergate: TokenVerifier, keys: Keys, aud: object
) -> None:
    assert (await refused(for_jobbergate, local.token(keys.rsa, aud=aud))).startswith('claim "aud" ')
    assert (await refused(for_jobbergate, local.token(keys.rsa))).startswith('claim "aud" ')


async def test_a_token_of_more_than_16_kib_is_refused(
    local: LocalProvider, verifier: TokenVerifier, keys: Keys
) -> None:
    large = local.token(keys.rsa, padding="x" * 11_500)
    assert 15_000 < len(large) <= MAX_TOKEN_LENGTH
    assert (await verifier.verify(large)).subject == "someone"
    reason = f"the token is longer than {MAX_TOKEN_LENGTH} characters"
    assert await refused(verifier, local.token(keys.rsa, padding="x" * 12_500)) == reason
