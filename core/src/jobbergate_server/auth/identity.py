"""The identity in a verified token, and its permissions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import email_validator

from jobbergate_server.storable import is_storable

PERMISSIONS_CLAIM = ("permissions",)
CLIENT_ID_LENGTH = 255
"""Characters that a client id may have, as the length of a column."""
"""The maximum characters of a client id."""
EMAIL_LENGTH = 320
"""The maximum characters of an e-mail address: 64 before the @ and 255 after it (RFC 3696, section 3)."""

# A cluster's provider signs e-mail addresses of private networks, such as `jobbergate.local`. No option of the library
# accepts those names. Its documentation recommends clearing this list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class InvalidToken(Exception):
    """A token that this server rejects. The text is a reason for the log and contains no part of the token."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of a token: a user with an e-mail address, or a program with a client id."""

    subject: str
    permissions: frozenset[str]
    email: str | None = None
    client_id: str | None = None
    organization: str | None = None

    @classmethod
    def from_claims(
        cls,
        claims: Mapping[str, object],
        *,
        permissions_claim: Sequence[str] = PERMISSIONS_CLAIM,
        roles: Mapping[str, Iterable[str]] | None = None,
    ) -> Self:
        """Return the identity in the ``claims`` of a token with verified signature and dates.

        ``permissions_claim`` is the path of keys to the list of permissions. A name in that list that is a key of
        ``roles`` grants the permissions of that role. Every other name is a permission.

        Raises:
            InvalidToken: A required claim is missing, or a claim is not valid.
        """
        return cls(
            subject=_subject(claims.get("sub")),
            permissions=_permissions(claims, permissions_claim, roles or {}),
            email=_email(claims.get("email")),
            client_id=_client_id(claims.get("azp")),
            organization=_organization(claims.get("organization")),
        )


def _subject(claim: object) -> str:
    if not isinstance(claim, str) or not claim or not is_storable(claim):
        raise InvalidToken('claim "sub" must be a non-empty string')
    return claim


def _permissions(
    claims: Mapping[str, object], keys: Sequence[str], roles: Mapping[str, Iterable[str]]
) -> frozenset[str]:
    claim: object = claims
    for depth, key in enumerate(keys):
        if not isinstance(claim, Mapping):
            raise InvalidToken(f'claim "{".".join(keys[:depth])}" must be an object')
        if key not in claim:
            return frozenset()
        claim = claim[key]
    if not isinstance(claim, list) or not all(isinstance(name, str) for name in claim):
        raise InvalidToken(f'claim "{".".join(keys)}" must be a list of strings')
    return frozenset(permission for name in claim for permission in roles.get(name, (name,)))


def _email(claim: object) -> str | None:
    if claim is None:
        return None
    if not isinstance(claim, str):
        raise InvalidToken('claim "email" must be a string')
    try:
        email_validator.validate_email(claim, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        raise InvalidToken('claim "email" must be an e-mail address') from None
    # The library's normalized form lower-cases the local part of some addresses.
    local_part, _, domain = claim.rpartition("@")
    return f"{local_part}@{domain.lower()}"


def _client_id(claim: object) -> str | None:
    if claim is None:
        return None
    if not isinstance(claim, str) or len(claim) > CLIENT_ID_LENGTH or not is_storable(claim):
        raise InvalidToken(f'claim "azp" must be a string of at most {CLIENT_ID_LENGTH} characters')
    return claim or None


def _organization(claim: object) -> str | None:
    if claim is None:
        return None
    if isinstance(claim, dict | list) and len(claim) == 1 and isinstance(organization := next(iter(claim)), str):
        return organization
    raise InvalidToken('claim "organization" must be an object with exactly one key or a list with exactly one string')
