"""The development issuer: a key and a URL with which the development server issues tokens."""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from jobbergate_server.auth.identity import PERMISSIONS_CLAIM
from jobbergate_server.errors import StartError

ALGORITHM = "RS256"
LIFETIME = 86_400
"""Default lifetime of a token, in seconds."""
KEY_FILE = "private.pem"
URL_FILE = "issuer.url"


class NoIssuer(StartError):
    """The error of a directory without a development issuer."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"No development issuer in {directory}: start `jobbergate-server dev` first.")


class Issuer:
    """The signing part of an OpenID Connect provider for development: it signs any requested token.

    Its key and its URL are files in a directory. Tokens remain valid after a restart, and other processes can issue
    them. The claim at the path ``permissions_claim`` has the permissions, as the server expects.
    """

    def __init__(self, key: RSAKey, url: str, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> None:
        self.url = url
        self._permissions_claim = permissions_claim
        self._key = key
        self._kid = key.thumbprint()

    @classmethod
    def open(cls, directory: Path, url: str, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> Self:
        """Return the issuer in ``directory`` with the new URL ``url``; create it if it does not exist."""
        directory.mkdir(parents=True, exist_ok=True)
        key_file = directory / KEY_FILE
        if not key_file.exists():
            _create(key_file, RSAKey.generate_key().as_pem(private=True))
        _replace(directory / URL_FILE, f"{url}\n".encode())
        return cls.load(directory, permissions_claim)

    @classmethod
    def load(cls, directory: Path, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> Self:
        """Return the issuer that a server created in ``directory``.

        Raises:
            NoIssuer: The directory contains no issuer.
        """
        try:
            key, url = (directory / KEY_FILE).read_bytes(), (directory / URL_FILE).read_text()
        except FileNotFoundError:
            raise NoIssuer(directory) from None
        return cls(RSAKey.import_key(key), url.strip(), permissions_claim)

    def token(
        self,
        *,
        email: str | None = None,
        client_id: str | None = None,
        permissions: Iterable[str] = (),
        lifetime: float = LIFETIME,
        subject: str | None = None,
        **claims: object,
    ) -> str:
        """Return a token for a user with ``email`` or a client with ``client_id``, valid for ``lifetime`` seconds.

        The default of ``subject`` is the e-mail address or the client id. ``claims`` override all other claims.
        """
        now = int(time.time())
        allowed: object = list(permissions)
        for key in reversed(self._permissions_claim[1:]):
            allowed = {key: allowed}
        named = {"email": email, "azp": client_id}
        return jwt.encode(
            {"alg": ALGORITHM, "kid": self._kid},
            {
                "iss": self.url,
                "sub": subject or email or client_id or "development",
                "iat": now,
                "exp": now + lifetime,
                self._permissions_claim[0]: allowed,
                **{name: claim for name, claim in named.items() if claim is not None},
                **claims,
            },
            self._key,
        )

    def verified(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a valid token of this issuer, of any audience; otherwise None."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, RecursionError):  # some texts that are not tokens raise each of these
            return None
        return claims if time.time() < claims["exp"] else None

    def public_keys(self) -> dict[str, object]:
        """Return the key set (RFC 7517) that verifies tokens of this issuer."""
        return {"keys": [self._key.as_dict(private=False, kid=self._kid, use="sig", alg=ALGORITHM)]}


def _create(file: Path, content: bytes) -> None:
    """Create a file atomically; keep the file of another process that was faster."""
    temporary = _temporary(file, content)
    try:
        os.link(temporary, file)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically."""
    _temporary(file, content).replace(file)


def _temporary(file: Path, content: bytes) -> Path:
    """Write ``content`` to a temporary file beside ``file``, which only its owner can read; return its path."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    return Path(name)
