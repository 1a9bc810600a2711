"""Permissions: granted by a token, required by a route."""

from enum import Enum
from typing import NamedTuple

from jobbergate_server.auth.identity import Identity
from jobbergate_server.errors import Forbidden


class Permission(NamedTuple):
    """A permission that a token can grant; the token lists its name."""

    name: str
    description: str


class Access(Enum):
    """The requirement of a route that needs no permission."""

    PUBLIC = "Every caller, without a token."
    AUTHENTICATED = "Every caller with a valid token."


PUBLIC = Access.PUBLIC
"""The `permission` of a route that accepts requests without a token."""
AUTHENTICATED = Access.AUTHENTICATED
"""The `permission` of a route that requires a valid token and no permission."""


def require_permission(identity: Identity, permission: Permission | Access) -> None:
    """Raise `Forbidden` unless ``identity`` holds ``permission``.

    Raises:
        Forbidden: The identity lacks the permission.
    """
    if isinstance(permission, Permission) and permission.name not in identity.permissions:
        raise Forbidden("Not authorized", {"WWW-Authenticate": "Bearer"})
