"""Bearer tokens: their signature, issuer, audience and dates (RFC 7519)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

import orjson
from cachetools import LRUCache
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel

from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.settings import Oidc

MAX_TOKEN_LENGTH = 16 * 1024
"""The maximum characters of a token."""


class _Verified(NamedTuple):
    identity: Identity
    expires: float
    generation: int


class TokenVerifier:
    """A verifier for the tokens of one provider.

    It caches each verified token until the token expires or the provider's keys change.
    """

    def __init__(
        self, provider: Provider, settings: Oidc, *, clock: Callable[[], float] = time.time, cache_size: int = 10_000
    ) -> None:
        self._provider = provider
        self._audience = settings.audience
        self._leeway = settings.leeway
        self._algorithms = settings.algorithms
        self._permissions_claim = settings.permissions_claim
        self._roles = settings.roles
        self._registry = _Registry(strict_check_header=False)
        self._clock = clock
        self._cache: LRUCache[bytes, _Verified] = LRUCache(cache_size)
        self._hits = self._misses = 0

    async def verify(self, token: str) -> Identity:
        """Return the identity in ``token``.

        Raises:
            InvalidToken: The token is not valid.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken(f"the token is longer than {MAX_TOKEN_LENGTH} characters")
        if not token.isascii():
            raise InvalidToken("the token must be ASCII")
        digest = sha256(token.encode()).digest()
        known = self._cache.get(digest)
        if known is not None:
            # The cache must not outlive a withdrawn key.
            if self._provider.due:
                await self._provider.refresh()
            if known.generation == self._provider.generation and self._clock() < known.expires:
                self._hits += 1
                return known.identity
        self._misses += 1
        claims = await self._signed_claims(token)
        expires = self._check_dates(claims)
        self._check_parties(claims)
        identity = Identity.from_claims(claims, permissions_claim=self._permissions_claim, roles=self._roles)
        self._cache[digest] = _Verified(identity, expires, self._provider.generation)
        return identity

    def statistics(self) -> dict[str, float]:
        """Return the number of cached tokens, and the hits and misses of the cache."""
        return {
            "tokens_cached": len(self._cache),
            "token_cache_hits": self._hits,
            "token_cache_misses": self._misses,
        }

    async def _signed_claims(self, token: str) -> dict[str, object]:
        """Return the claims of a token that a key of the provider signed."""
        with _malformed_refused():
            parsed = jws.extract_compact(token.encode(), registry=self._registry)
            kid = self._kid(parsed.headers())
        key = await self._provider.key(kid)
        if key is None:
            raise InvalidToken(self._provider.reason or 'the provider has no key with this "kid"')
        with _malformed_refused():
            signed = jws.validate_compact(parsed, key, registry=self._registry)
            claims = orjson.loads(parsed.payload)
        if not signed:
            raise InvalidToken("the signature is invalid")
        if not isinstance(claims, dict):
            raise InvalidToken("the claims must be a JSON object")
        return claims

    def _kid(self, header: object) -> str:
        """Return the key id in a token's header, which can be any JSON value."""
        if not isinstance(header, dict):
            raise InvalidToken("the header must be a JSON object")
        if "crit" in header:
            raise InvalidToken('header "crit" requires an extension that is not supported')
        if header["alg"] not in self._algorithms:
            raise InvalidToken('header "alg" is not listed in oidc.algorithms')
        if not isinstance(header.get("kid"), str):
            raise InvalidToken('header "kid" must be a string')
        return str(header["kid"])

    def _check_dates(self, claims: Mapping[str, object]) -> float:
        """Reject a token outside its validity period, and return the end of that period in seconds since 1970."""
        now = self._clock()
        expires = _moment(claims, "exp") + self._leeway
        if now >= expires:
            raise InvalidToken("the token has expired")
        for name in ("iat", "nbf"):
            if name in claims and _moment(claims, name) > now + self._leeway:
                raise InvalidToken(f'claim "{name}" is in the future')
        return expires

    def _check_parties(self, claims: Mapping[str, object]) -> None:
        if claims.get("iss") != self._provider.issuer:
            raise InvalidToken('claim "iss" does not match oidc.issuer')
        if self._audience is None:
            if "aud" in claims:
                raise InvalidToken('claim "aud" is present, but oidc.audience is not set')
            return
        audiences = claims.get("aud")
        if isinstance(audiences, str):
            audiences = [audiences]
        if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
            raise InvalidToken('claim "aud" must be a string or a list of strings')
        if self._audience not in audiences:
            raise InvalidToken('claim "aud" does not contain oidc.audience')


class _Registry(jws.JWSRegistry):
    """joserfc's rules for headers, without its limits and warnings."""

    # `verify` limits the whole token instead.
    max_header_length = max_payload_length = max_signature_length = MAX_TOKEN_LENGTH

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return the algorithm without joserfc's warning: operators list `EdDSA` only for providers that need it."""
        return self.algorithms[name]


@contextmanager
def _malformed_refused() -> Iterator[None]:
    """Raise `InvalidToken` for every error of joserfc and the JSON parsers."""
    try:
        yield
    except JoseError as error:
        raise InvalidToken(error.error) from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidToken("the token is malformed") from None


def _moment(claims: Mapping[str, object], name: str) -> float:
    """Return the claim ``name`` in seconds since 1970, which is finite because orjson rejects NaN and infinity."""
    claim = claims.get(name)
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise InvalidToken(f'claim "{name}" must be a number')
    return claim
