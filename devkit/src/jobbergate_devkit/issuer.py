"""The development issuer: a key and a URL of the server's own, with which it signs tokens for whoever runs it."""

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
"""Seconds for which a token is valid unless it is told."""
KEY_FILE = "private.pem"
URL_FILE = "issuer.url"


class NoIssuer(StartError):
    """There is no development issuer where one is looked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"No development issuer in {directory}: start `jobbergate-server dev` first.")


class Issuer:
    """The signing part of an OpenID Connect provider for development: it signs any token that it is asked for.

    Its key and its URL are files in a directory, so that tokens outlive a restart and other processes can issue them.
    It writes permissions where the server that it is for looks for them: under the keys ``permissions_claim``.
    """

    def __init__(self, key: RSAKey, url: str, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> None:
        self.url = url
        self._permissions_claim = permissions_claim
        self._key = key
        self._kid = key.thumbprint()

    @classmethod
    def open(cls, directory: Path, url: str, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> Self:
        """The issuer in ``directory``, made if there is none, and from now on known by ``url``."""
        directory.mkdir(parents=True, exist_ok=True)
        key_file = directory / KEY_FILE
        if not key_file.exists():
            _create(key_file, RSAKey.generate_key().as_pem(private=True))
        _replace(directory / URL_FILE, f"{url}\n".encode())
        return cls.load(directory, permissions_claim)

    @classmethod
    def load(cls, directory: Path, permissions_claim: Sequence[str] = PERMISSIONS_CLAIM) -> Self:
        """The issuer that a server made in ``directory``.

        Raises:
            NoIssuer: No server made one.
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
        """A signed token for a person with an e-mail or a program with a client id, for ``lifetime`` seconds from now.

        The subject is the e-mail or the client id when it is not told; ``claims`` are added, and win over all others.
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
        """The claims of a token that this issuer has signed and that is still valid, whatever it is for; else None."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, RecursionError):  # for one text or another that is no token
            return None
        return claims if time.time() < claims["exp"] else None

    def public_keys(self) -> dict[str, object]:
        """The key set (RFC 7517) that tokens of this issuer are verified with."""
        return {"keys": [self._key.as_dict(private=False, kid=self._kid, use="sig", alg=ALGORITHM)]}


def _create(file: Path, content: bytes) -> None:
    """Write a new file, complete from the moment it exists; the one that another process was faster with is kept."""
    draft = _draft(file, content)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _replace(file: Path, content: bytes) -> None:
    """Write a file, at no moment missing or incomplete."""
    _draft(file, content).replace(file)


def _draft(file: Path, content: bytes) -> Path:
    """A file beside ``file`` that only its owner may read, with ``content``."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    return Path(name)
