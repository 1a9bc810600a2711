"""The OpenID Connect provider: where its public keys are found, and when they are fetched again."""

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

TIMEOUT = aiohttp.ClientTimeout(total=5)
MAX_ANSWER = 1024 * 1024
RETRY = 1.0
"""Seconds between attempts while there is no key at all, so that the server recovers soon after its provider."""
KEY_TYPES = ("RSA", "EC", "OKP")
MIN_RSA_BITS = 2048


class ProviderError(Exception):
    """The provider does not answer, or its answer cannot be used."""


class Provider:
    """An OpenID Connect provider, known by its issuer URL, and the public keys that it signs tokens with.

    The keys are fetched when they are first needed, when they are older than ``keys_max_age`` seconds, and when a token
    names one that is not among them, the last at most once in ``cooldown`` seconds. Requests that need a fetch at the
    same time share one. When a fetch fails, the keys that are known go on working, and the next attempt waits for the
    cool-down too. Use it as an async context manager; a ``session`` that is handed in is left open.
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
        """A number that changes whenever the keys do: what was verified with the old ones must be verified again."""
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
        """Whether there is a key, so that tokens can be verified."""
        return bool(self._keys)

    @property
    def reason(self) -> str | None:
        """Why there is no key; null when there is one."""
        return None if self._keys else self._failure

    @property
    def due(self) -> bool:
        """Whether the keys must be fetched before the next token is verified."""
        return self._clock() >= self._due_at

    async def refresh(self) -> None:
        """Fetch the keys if they are due; a failure is logged, and tells in `reason` when there is no key."""
        if self.due:
            await self._refresh()

    async def key(self, kid: str) -> Key | None:
        """The public key with exactly this ``kid``, fetched if need be; null when the provider has none."""
        was_due = self.due
        await self.refresh()
        if kid not in self._keys and not was_due:
            await self._refresh(search=True)
        return self._keys.get(kid)

    async def _refresh(self, *, search: bool = False) -> None:
        """Join the fetch that is under way or start one; a ``search`` for an unknown key starts none in its pause."""
        if self._fetch is None or self._fetch.done():
            if search and self._clock() < self._search_at:
                return
            self._fetch = asyncio.create_task(self._fetch_keys(search=search))
        # A client that hangs up must not take the fetch away from the others who wait for it.
        await asyncio.shield(self._fetch)

    async def _fetch_keys(self, *, search: bool) -> None:
        try:
            keys = await self._load()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the provider, the known keys go on working
            self._failure = _text(error)
            pause = self._cooldown if self._keys else RETRY
            self._search_at = self._clock() + pause
            self._due_at = max(self._due_at, self._search_at)
            log.warning("keys not fetched", issuer=self.issuer, reason=self._failure, known=sorted(self._keys))
            return
        now = self._clock()
        self._due_at = now + (self._keys_max_age if keys else RETRY)
        if search:
            self._search_at = now + self._cooldown
        if keys != self._keys:
            self.generation += 1
            self._keys = keys
            log.info("keys changed", issuer=self.issuer, keys=sorted(keys))
        self._failure = "the provider has no key for signatures"

    async def _load(self) -> dict[str, Key]:
        document = await self._get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise ProviderError("the discovery document is of another issuer")
        return _signing_keys(await self._get(self._checked(document.get("jwks_uri"))))

    def _checked(self, jwks_uri: object) -> str:
        """The ``jwks_uri`` of the discovery document, which must not be easier to tamper with than the issuer is."""
        scheme = urlsplit(jwks_uri).scheme if isinstance(jwks_uri, str) else ""
        if not isinstance(jwks_uri, str) or scheme not in {"https", urlsplit(self.issuer).scheme}:
            raise ProviderError("the jwks_uri of the provider is not an https URL")
        return jwks_uri

    async def _get(self, url: str) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        # A redirect could lead from https to http, and discovery allows no answer but a 200.
        async with self._session.get(url, timeout=TIMEOUT, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                raise ProviderError(f"{url} answers {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise ProviderError(f"{url} answers more than {MAX_ANSWER} bytes")
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise ProviderError(f"{url} answers no JSON object")
        return answer


def _signing_keys(key_set: Mapping[str, object]) -> dict[str, Key]:
    """The keys for signatures in a JWK set (RFC 7517), by their ``kid``; those that cannot be used are left out."""
    entries = key_set.get("keys")
    if not isinstance(entries, list):
        raise ProviderError("the key set of the provider has no list of keys")
    keys: dict[str, Key] = {}
    for position, entry in enumerate(entries):
        try:
            if _is_for_signatures(entry):
                keys.setdefault(*_imported(entry))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one key, the others are good
            log.warning("key skipped", position=position, reason=_text(error))
    return keys


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    return entry.get("kty") in KEY_TYPES and entry.get("use", "sig") == "sig"


def _imported(entry: dict[str, Any]) -> tuple[str, Key]:
    kid = entry.get("kid")
    if not isinstance(kid, str):
        raise ProviderError("the kid is not a text")
    if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() < MIN_RSA_BITS:
        raise ProviderError(f"the RSA key has less than {MIN_RSA_BITS} bits")
    return kid, import_key(entry)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}".rstrip(": ")
