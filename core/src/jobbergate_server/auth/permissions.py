"""Permissions: what a token allows, and what a route requires."""

from enum import Enum
from typing import NamedTuple

from jobbergate_server.auth.identity import Identity
from jobbergate_server.errors import Forbidden


class Permission(NamedTuple):
    """Something that a token can allow; the token lists it by its name."""

    name: str
    description: str


class Access(Enum):
    """What a route requires of its callers instead of a permission."""

    PUBLIC = "Every caller, without a token."
    AUTHENTICATED = "Every caller with a valid token."


PUBLIC = Access.PUBLIC
AUTHENTICATED = Access.AUTHENTICATED


def require_permission(identity: Identity, permission: Permission | Access) -> None:
    """Return if ``identity`` holds ``permission``.

    Raises:
        Forbidden: It does not.
    """
    if isinstance(permission, Permission) and permission.name not in identity.permissions:
        raise Forbidden("Not authorized", {"WWW-Authenticate": "Bearer"})
