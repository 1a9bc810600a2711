"""The common parts of the peers: options, token verification and serving with aiohttp."""

import argparse
import asyncio
import time
from hashlib import sha256
from typing import Any
from urllib.request import urlopen

import orjson
import uvloop
from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

VIEW = "jobbergate:job-scripts:view"
EDIT = "jobbergate:job-scripts:edit"
POOL_SIZE = 4


def options() -> argparse.Namespace:
    """Parse the options of a peer's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--size", type=int, required=True)
    return parser.parse_args()


class Refused(Exception):
    """A request without a valid token or without the permission."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Verifier:
    """A verifier of the tokens of one issuer, with a cache of verified tokens."""

    def __init__(self, issuer: str) -> None:
        """Fetch the keys of ``issuer``."""
        self._issuer = issuer
        discovery = orjson.loads(_fetch(f"{issuer}/.well-known/openid-configuration"))
        self._keys = KeySet.import_key_set(orjson.loads(_fetch(discovery["jwks_uri"])))
        self._known: dict[bytes, dict[str, Any]] = {}

    def claims(self, header: str | None, permission: str) -> dict[str, Any]:
        """Verify the token in an Authorization header, and return its claims.

        Raises:
            Refused: The token is invalid or expired, or lacks the ``permission``.
        """
        if header is None or not header.startswith("Bearer "):
            raise Refused(401)
        token = header[7:].encode()
        digest = sha256(token).digest()
        claims = self._known.get(digest)
        if claims is None:
            try:
                claims = jwt.decode(token, self._keys, algorithms=["RS256"]).claims
            except (JoseError, ValueError):
                raise Refused(401) from None
            self._known[digest] = claims
        if time.time() >= claims["exp"] or claims["iss"] != self._issuer:
            self._known.pop(digest, None)
            raise Refused(401)
        if permission not in claims["permissions"]:
            raise Refused(403)
        return claims


def serve(app: web.Application, port: int) -> None:
    """Serve as this server does: on uvloop, without aiohttp's access log."""
    uvloop.run(_serve(app, port))


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def _fetch(url: str) -> bytes:
    with urlopen(url) as response:  # noqa: S310 - the issuer of this run
        return bytes(response.read())
