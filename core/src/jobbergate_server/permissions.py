"""Who may do what: permissions that tokens carry, and ownership of rows."""

from enum import Enum
from typing import NamedTuple

from aiohttp import web

from jobbergate_server.auth.identity import Identity
from jobbergate_server.database import find
from jobbergate_server.errors import Forbidden, NotFound
from jobbergate_server.requests import PATH
from jobbergate_server.statements import Row

IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)


class Permission(NamedTuple):
    """Something that a token can allow; the name stands in the token's list of permissions."""

    name: str
    description: str


class Access(Enum):
    """A route that asks for no permission."""

    PUBLIC = "Everyone, without a token."
    AUTHENTICATED = "Everyone who holds a valid token."


PUBLIC = Access.PUBLIC
AUTHENTICATED = Access.AUTHENTICATED


def require_permission(identity: Identity, permission: Permission | Access) -> None:
    """Let the request pass when ``identity`` holds ``permission``.

    Raises:
        Forbidden: It does not.
    """
    if isinstance(permission, Permission) and permission.name not in identity.permissions:
        raise Forbidden("Not authorized", {"WWW-Authenticate": "Bearer"})


def require_email(request: web.Request) -> str:
    """The caller's e-mail address, as the owner of what the request creates.

    Raises:
        Forbidden: The token carries none.
    """
    email = request[IDENTITY].email
    if email is None:
        raise Forbidden("A token without an e-mail address cannot own anything.")
    return email


def require_owner(request: web.Request, kind: str, row_id: int, owner: str) -> None:
    """Let the request change the row of ``owner`` when the caller is that owner.

    Raises:
        Forbidden: The caller is somebody else; the text names both, and the ``kind`` of the row.
    """
    email = request[IDENTITY].email
    if email != owner:
        raise Forbidden(
            f"User {email} does not own {kind} with id={row_id}. "
            f"Only the {kind} owner ({owner}) can modify this {kind}."
        )


async def find_own(
    request: web.Request, model: type[Row], parameter: str, *related: str, owner: str, lock: bool = True
) -> Row:
    """The row whose id is in the path as ``parameter`` (`webhook_id`), which must be the caller's.

    ``owner`` is the column with its owner's e-mail address; ``related`` and ``lock`` are as with `find`.

    Raises:
        NotFound: There is no such row.
        Forbidden: It is somebody else's.
    """
    row_id = request[PATH][parameter]
    row = await find(model, row_id, *related, lock=lock)
    if row is None:
        table = model._meta.db_table  # noqa: SLF001 - Tortoise's documented way to the table
        raise NotFound(f"Could not find {table} instance with id {row_id}")
    require_owner(request, parameter.removesuffix("_id"), row_id, getattr(row, owner))
    return row
