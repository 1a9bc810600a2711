"""Who a verified token speaks for, and what it permits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import email_validator

from jobbergate_server.storable import is_storable

PERMISSIONS_CLAIM = ("permissions",)
CLIENT_ID_LENGTH = 255
EMAIL_LENGTH = 320
"""Characters that an e-mail address may have: 64 before the @ and 255 after it (RFC 3696, section 3)."""

# Providers of clusters sign e-mails of networks that nobody else reaches, such as `jobbergate.local`. The library
# refuses those names whatever its options are, and documents this list as the way to have them accepted.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class InvalidToken(Exception):
    """A token that this server does not accept; the text is a reason for the log and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token was issued to: a person with an e-mail, or a program with a client id."""

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
        """The identity in the ``claims`` of a token whose signature and dates are verified already.

        ``permissions_claim`` are the keys that lead to the list of its permissions. A name in that list that is among
        ``roles`` stands for the permissions of that role, and every other one for itself.

        Raises:
            InvalidToken: A claim is missing, or is not of the form that it must have.
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
        raise InvalidToken("sub is not a text with something in it")
    return claim


def _permissions(
    claims: Mapping[str, object], keys: Sequence[str], roles: Mapping[str, Iterable[str]]
) -> frozenset[str]:
    claim: object = claims
    for depth, key in enumerate(keys):
        if not isinstance(claim, Mapping):
            raise InvalidToken(f"{'.'.join(keys[:depth])} is not an object")
        if key not in claim:
            return frozenset()
        claim = claim[key]
    if not isinstance(claim, list) or not all(isinstance(name, str) for name in claim):
        raise InvalidToken(f"{'.'.join(keys)} is not a list of texts")
    return frozenset(permission for name in claim for permission in roles.get(name, (name,)))


def _email(claim: object) -> str | None:
    if claim is None:
        return None
    if not isinstance(claim, str):
        raise InvalidToken("email is not a text")
    try:
        email_validator.validate_email(claim, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        raise InvalidToken("email is not an e-mail address") from None
    # Not the library's normalized form, which lower-cases the local part of some addresses.
    local_part, _, domain = claim.rpartition("@")
    return f"{local_part}@{domain.lower()}"


def _client_id(claim: object) -> str | None:
    if claim is None:
        return None
    if not isinstance(claim, str) or len(claim) > CLIENT_ID_LENGTH or not is_storable(claim):
        raise InvalidToken(f"azp is not a text of at most {CLIENT_ID_LENGTH} characters")
    return claim or None


def _organization(claim: object) -> str | None:
    if claim is None:
        return None
    if isinstance(claim, dict | list) and len(claim) == 1 and isinstance(organization := next(iter(claim)), str):
        return organization
    raise InvalidToken("organization is neither an object with exactly one key nor a list with exactly one text")
