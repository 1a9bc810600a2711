"""Who a verified token speaks for, and what it permits."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

import email_validator

from jobbergate_server.fields import is_storable

CLIENT_ID_LENGTH = 255
EMAIL_LENGTH = 320
"""Characters that an e-mail address may have: 64 before the @ and 255 after it (RFC 3696, section 3)."""

# Providers of clusters sign e-mails of networks that nobody else reaches, such as `jobbergate.local`. The library
# refuses those names whatever its options are, and documents this list as the way to have them accepted.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class InvalidToken(Exception):
    """A token that this server does not accept; the text is a reason for the log and holds nothing of the token."""


_caller: ContextVar["Identity | None"] = ContextVar("caller", default=None)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token was issued to: a person with an e-mail, or a program with a client id."""

    subject: str
    permissions: frozenset[str]
    email: str | None = None
    client_id: str | None = None
    organization: str | None = None

    @classmethod
    def from_claims(cls, claims: Mapping[str, object]) -> Self:
        """The identity in the ``claims`` of a token whose signature and dates are verified already.

        Raises:
            InvalidToken: A claim is missing, or is not of the form that it must have.
        """
        return cls(
            subject=_subject(claims.get("sub")),
            permissions=_permissions(claims.get("permissions", [])),
            email=_email(claims.get("email")),
            client_id=_client_id(claims.get("azp")),
            organization=_organization(claims.get("organization")),
        )


def caller() -> Identity | None:
    """Who has sent the request that the current task serves; None outside of one, and where no token is asked for."""
    return _caller.get()


def set_caller(identity: Identity | None) -> None:
    """Let `caller` answer ``identity`` in the current task from now on."""
    _caller.set(identity)


def _subject(claim: object) -> str:
    if not isinstance(claim, str) or not claim or not is_storable(claim):
        raise InvalidToken("sub is not a text with something in it")
    return claim


def _permissions(claim: object) -> frozenset[str]:
    if not isinstance(claim, list) or not all(isinstance(name, str) for name in claim):
        raise InvalidToken("permissions is not a list of texts")
    return frozenset(claim)


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
    if not isinstance(claim, dict) or len(claim) != 1:
        raise InvalidToken("organization is not an object with exactly one key")
    return str(next(iter(claim)))
