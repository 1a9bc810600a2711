"""A local OpenID Connect provider over real HTTP, real keys, and clocks that tests move."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from joserfc.jwk import Key
    from pytest_aiohttp.plugin import AiohttpServer

NOW = 1_800_000_000
LEEWAY = 10
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = NOW

    def __call__(self) -> float:
        """The time that it shows."""
        return self.now


@dataclass
class LocalProvider:
    """The other end: serves discovery and keys, counts the requests, and signs whatever it is told to."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, web.Response] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    away: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None
    url: str = ""

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.requests["/oidc/.well-known/openid-configuration"]

    def publish(self, *keys: Key) -> None:
        """Serve these keys and no others."""
        self.keys = [key.as_dict(private=False) for key in keys]

    def sign(self, header: object, payload: object, key: Key, algorithm: str | None = None) -> str:
        """A token with a good signature over any header and payload; bytes are taken as they are."""
        parts = [part if isinstance(part, bytes) else orjson.dumps(part) for part in (header, payload)]
        signed = b".".join(encoded(part) for part in parts)
        signature = JWSRegistry.algorithms[algorithm or ALGORITHMS[key.key_type]].sign(signed, key)
        return (signed + b"." + encoded(signature)).decode()

    def token(self, key: Key, algorithm: str | None = None, without: str | None = None, **claims: object) -> str:
        """A token that is accepted at `NOW`, unless ``claims`` or what it is ``without`` make it bad."""
        algorithm = algorithm or ALGORITHMS[key.key_type]
        good = {"iss": self.url, "sub": "someone", "iat": NOW, "exp": NOW + 600, "permissions": ["a:read"]}
        payload = {name: claim for name, claim in {**good, **claims}.items() if name != without}
        return self.sign({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, payload, key, algorithm)

    def application(self) -> web.Application:
        """The provider as an application, to be served."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests[request.path] += 1
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            return web.Response(status=503)
        if request.path in self.answers:
            return self.answers[request.path]
        if request.path == "/oidc/.well-known/openid-configuration":
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.document})
        if request.path == "/oidc/jwks":
            return web.json_response({"keys": self.keys})
        return web.Response(status=404)


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@dataclass(frozen=True)
class Keys:
    """A private key of each kind, and a second one of RSA to rotate to."""

    rsa: RSAKey
    other: RSAKey
    ec: ECKey
    okp: OKPKey


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(
        rsa=RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
        other=RSAKey.generate_key(2048, {"kid": "other", "use": "sig"}),
        ec=ECKey.generate_key("P-256", {"kid": "ec"}),
        okp=OKPKey.generate_key("Ed25519", {"kid": "okp", "alg": "Ed25519"}),
    )


@pytest.fixture
async def local(aiohttp_server: AiohttpServer, keys: Keys) -> LocalProvider:
    local = LocalProvider()
    local.publish(keys.rsa, keys.ec, keys.okp)
    server = await aiohttp_server(local.application())
    local.url = str(server.make_url("/oidc"))
    return local


@pytest.fixture
def clock() -> Clock:
    """Moves the fetches of keys (`time.monotonic` in the product)."""
    return Clock(0)


@pytest.fixture
def today() -> Clock:
    """Moves the dates of tokens (`time.time` in the product)."""
    return Clock()


@pytest.fixture
async def provider(local: LocalProvider, clock: Clock) -> AsyncIterator[Provider]:
    async with Provider(local.url, clock=clock) as provider:
        yield provider


@pytest.fixture
def verifier(local: LocalProvider, provider: Provider, today: Clock) -> TokenVerifier:
    return TokenVerifier(provider, Oidc(issuer=local.url, leeway=LEEWAY), clock=today)
