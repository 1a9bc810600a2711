"""The OpenID Connect provider: discovery and refresh of its public keys."""

import asyncio
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog
from joserfc.jwk import Key, import_key
from joserfc.util import base64_to_int

log = structlog.get_logger()

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=5)
MAX_RESPONSE_BYTES = 1024 * 1024
RETRY_SECONDS = 1.0
"""The pause between attempts without any key: the server recovers soon after its provider."""
KEY_TYPES = ("RSA", "EC", "OKP")
MIN_RSA_BITS = 2048


class ProviderError(Exception):
    """The provider does not respond, or its response is not usable."""


class Provider:
    """An OpenID Connect provider, identified by its issuer URL, with its public keys.

    The first request fetches the keys. The server fetches them again after ``keys_max_age`` seconds. It also does when
    a token names an unknown key, at most once in ``cooldown`` seconds. Concurrent requests share one fetch. After a
    failed fetch the cached keys remain valid, and the next attempt waits for the cool-down too. Use it as an async
    context manager. The caller closes a ``session`` that it passes.
    """

    def __init__(
        self,
        issuer: str,
        *,
        keys_max_age: float = 3600,
        cooldown: float = 30,
        session: aiohttp.ClientSession | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.generation = 0
        """A number that changes with the keys: tokens verified with the old keys must be verified again."""
        self._keys_max_age = keys_max_age
        self._cooldown = cooldown
        self._session = session
        self._owns_session = session is None
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._failure = "the keys of the provider were not fetched yet"
        self._due_at = float("-inf")
        self._search_at = float("-inf")
        self._fetch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)
        if self._session is not None and self._owns_session:
            await self._session.close()

    @property
    def ready(self) -> bool:
        """Whether the provider has a key to verify tokens."""
        return bool(self._keys)

    @property
    def reason(self) -> str | None:
        """The reason for a missing key; None with a key."""
        return None if self._keys else self._failure

    @property
    def due(self) -> bool:
        """Whether the keys must be fetched before the next token is verified."""
        return self._clock() >= self._due_at

    async def refresh(self) -> None:
        """Fetch the keys if they are due; log a failure and report it as `reason` while no key is cached."""
        if self.due:
            await self._refresh()

    async def key(self, kid: str) -> Key | None:
        """Return the public key with exactly this ``kid``, fetching keys if needed; None when it does not exist."""
        was_due = self.due
        await self.refresh()
        if kid not in self._keys and not was_due:
            await self._refresh(search=True)
        return self._keys.get(kid)

    async def _refresh(self, *, search: bool = False) -> None:
        """Join the running fetch or start one; a ``search`` for an unknown key respects the cool-down."""
        if self._fetch is None or self._fetch.done():
            if search and self._clock() < self._search_at:
                return
            self._fetch = asyncio.create_task(self._fetch_keys(search=search))
        # A client that disconnects must not cancel the fetch that other requests share.
        await asyncio.shield(self._fetch)

    async def _fetch_keys(self, *, search: bool) -> None:
        try:
            keys = await self._load()
        except Exception as error:  # noqa: BLE001 - the cached keys remain valid after any failure of the provider
            self._failure = _text(error)
            pause = self._cooldown if self._keys else RETRY_SECONDS
            self._search_at = self._clock() + pause
            self._due_at = max(self._due_at, self._search_at)
            log.warning("keys not fetched", issuer=self.issuer, reason=self._failure, known=sorted(self._keys))
            return
        now = self._clock()
        self._due_at = now + (self._keys_max_age if keys else RETRY_SECONDS)
        if search:
            self._search_at = now + self._cooldown
        if keys != self._keys:
            self.generation += 1
            self._keys = keys
            log.info("keys changed", issuer=self.issuer, keys=sorted(keys))
        self._failure = "the provider publishes no usable signing key"

    async def _load(self) -> dict[str, Key]:
        document = await self._get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise ProviderError('"issuer" of the discovery document does not match oidc.issuer')
        return _signing_keys(await self._get(self._checked(document.get("jwks_uri"))))

    def _checked(self, jwks_uri: object) -> str:
        """Return the ``jwks_uri`` of the discovery document, which must be as secure as the issuer URL."""
        scheme = urlsplit(jwks_uri).scheme if isinstance(jwks_uri, str) else ""
        if not isinstance(jwks_uri, str) or scheme not in {"https", urlsplit(self.issuer).scheme}:
            raise ProviderError('"jwks_uri" of the discovery document must be an https URL')
        return jwks_uri

    async def _get(self, url: str) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        # A redirect could lead from https to http, and discovery allows only status 200.
        async with self._session.get(url, timeout=REQUEST_TIMEOUT, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                raise ProviderError(f"{url} returned status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise ProviderError(f"{url} returned more than {MAX_RESPONSE_BYTES} bytes")
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise ProviderError(f"{url} did not return a JSON object")
        return answer


def _signing_keys(key_set: Mapping[str, object]) -> dict[str, Key]:
    """Return the signing keys of a JWK set (RFC 7517), by their ``kid``, and skip unusable keys."""
    entries = key_set.get("keys")
    if not isinstance(entries, list):
        raise ProviderError('the key set of the provider must contain a list "keys"')
    keys: dict[str, Key] = {}
    for position, entry in enumerate(entries):
        try:
            if _is_for_signatures(entry):
                keys.setdefault(*_imported(entry))
        except Exception as error:  # noqa: BLE001 - one unusable key does not affect the rest
            log.warning("key skipped", position=position, reason=_text(error))
    return keys


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    return entry.get("kty") in KEY_TYPES and entry.get("use", "sig") == "sig"


def _imported(entry: dict[str, Any]) -> tuple[str, Key]:
    kid = entry.get("kid")
    if not isinstance(kid, str):
        raise ProviderError('"kid" must be a string')
    if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() < MIN_RSA_BITS:
        raise ProviderError(f"the RSA key must be at least {MIN_RSA_BITS} bits long")
    return kid, import_key(entry)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}".rstrip(": ")
