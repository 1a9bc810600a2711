"""Bearer tokens: whether one is the provider's, is meant for this server and has not expired."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel

from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.settings import Oidc

MAX_SIZE = 16 * 1024


class _Verified(NamedTuple):
    identity: Identity
    expires: float
    generation: int


class TokenVerifier:
    """Turns the tokens of one provider into identities, and refuses all others.

    A token that was verified once is not verified again until it expires or the provider's keys change.
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
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._cache_size = cache_size
        self._hits = self._misses = 0

    async def verify(self, token: str) -> Identity:
        """The identity that ``token`` speaks for.

        Raises:
            InvalidToken: The token is not accepted, for whichever reason.
        """
        if len(token) > MAX_SIZE:
            raise InvalidToken("the token is too long")
        if not token.isascii():
            raise InvalidToken("the token is not ASCII")
        digest = sha256(token.encode()).digest()
        known = self._cache.get(digest)
        if known is not None:
            # A key that was withdrawn must not live on in the cache.
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
        self._remember(digest, _Verified(identity, expires, self._provider.generation))
        return identity

    def statistics(self) -> dict[str, float]:
        """How many tokens are remembered, and how often one was found there, or was not."""
        return {
            "tokens_cached": len(self._cache),
            "token_cache_hits": self._hits,
            "token_cache_misses": self._misses,
        }

    async def _signed_claims(self, token: str) -> dict[str, object]:
        """The claims of a token that has a good signature by a key of the provider."""
        with _malformed_refused():
            parsed = jws.extract_compact(token.encode(), registry=self._registry)
            kid = self._kid(parsed.headers())
        key = await self._provider.key(kid)
        if key is None:
            raise InvalidToken(self._provider.reason or "the provider has no such key")
        with _malformed_refused():
            signed = jws.validate_compact(parsed, key, registry=self._registry)
            claims = orjson.loads(parsed.payload)
        if not signed:
            raise InvalidToken("the signature is wrong")
        if not isinstance(claims, dict):
            raise InvalidToken("the claims are not an object")
        return claims

    def _kid(self, header: object) -> str:
        """The name of the key in a token's header, of whatever JSON; without one the provider is not even asked."""
        if not isinstance(header, dict):
            raise InvalidToken("the header is not an object")
        if "crit" in header:
            raise InvalidToken("the header demands an extension, and this server has none")
        if header["alg"] not in self._algorithms:
            raise InvalidToken("the algorithm is not one that is accepted")
        if not isinstance(header.get("kid"), str):
            raise InvalidToken("the header names no key")
        return str(header["kid"])

    def _check_dates(self, claims: Mapping[str, object]) -> float:
        """Refuse a token whose time is over or has not come; the moment from which on its time is over."""
        now = self._clock()
        expires = _moment(claims, "exp") + self._leeway
        if now >= expires:
            raise InvalidToken("the token has expired")
        for name in ("iat", "nbf"):
            if name in claims and _moment(claims, name) > now + self._leeway:
                raise InvalidToken(f"{name} is in the future")
        return expires

    def _check_parties(self, claims: Mapping[str, object]) -> None:
        if claims.get("iss") != self._provider.issuer:
            raise InvalidToken("iss is not the configured issuer")
        if self._audience is None:
            if "aud" in claims:
                raise InvalidToken("aud is present, but no audience is configured")
            return
        audiences = claims.get("aud")
        if isinstance(audiences, str):
            audiences = [audiences]
        if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
            raise InvalidToken("aud is neither a text nor a list of texts")
        if self._audience not in audiences:
            raise InvalidToken("aud is not the configured audience")

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._cache.pop(digest, None)
        while len(self._cache) >= self._cache_size:
            self._cache.popitem(last=False)
        self._cache[digest] = verified


class _Registry(jws.JWSRegistry):
    """joserfc's rules for headers, with the algorithms of the settings and no others."""

    # The size of the whole token is what is limited.
    max_header_length = max_payload_length = max_signature_length = MAX_SIZE

    def get_alg(self, name: str) -> JWSAlgModel:
        """The algorithm of that name, without joserfc's warning: whoever lists `EdDSA` has a provider that needs it."""
        return self.algorithms[name]


@contextmanager
def _malformed_refused() -> Iterator[None]:
    """Whatever joserfc and the JSON parsers raise for bad input becomes `InvalidToken`."""
    try:
        yield
    except JoseError as error:
        raise InvalidToken(error.error) from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidToken("the token is malformed") from None


def _moment(claims: Mapping[str, object], name: str) -> float:
    """The claim ``name`` in seconds since 1970; it is finite, as there is nothing else in orjson's JSON."""
    claim = claims.get(name)
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise InvalidToken(f"{name} is not a number")
    return claim
