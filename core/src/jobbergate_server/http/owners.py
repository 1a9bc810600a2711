"""Ownership of rows: only the owner may change a row."""

from aiohttp import web

from jobbergate_server.auth.middleware import IDENTITY
from jobbergate_server.database.meta import meta
from jobbergate_server.database.prepared import Row
from jobbergate_server.database.rows import get_row
from jobbergate_server.errors import Forbidden, NotFound
from jobbergate_server.http.requests import PATH


def require_email(request: web.Request) -> str:
    """Return the caller's e-mail address, the owner of rows that the request creates.

    Raises:
        Forbidden: The token contains no e-mail address.
    """
    email = request[IDENTITY].email
    if email is None:
        raise Forbidden("A token without an e-mail address cannot own anything.")
    return email


def require_owner(request: web.Request, kind: str, row_id: int, owner: str) -> None:
    """Raise `Forbidden` unless the caller is the ``owner`` of the row.

    Raises:
        Forbidden: The caller is not the owner; the text names both, and the ``kind`` of the row.
    """
    email = request[IDENTITY].email
    if email != owner:
        raise Forbidden(
            f"User {email} does not own {kind} with id={row_id}. "
            f"Only the {kind} owner ({owner}) can modify this {kind}."
        )


async def get_own_row(
    request: web.Request, model: type[Row], parameter: str, *related: str, owner: str, lock: bool = True
) -> Row:
    """Return the caller's row with the id in the path parameter ``parameter`` (`webhook_id`).

    ``owner`` is the column of the owner's e-mail address; ``related`` and ``lock`` are those of `get_row`.

    Raises:
        NotFound: The row does not exist.
        Forbidden: The caller is not its owner.
    """
    row_id = request[PATH][parameter]
    row = await get_row(model, row_id, *related, lock=lock)
    if row is None:
        table = meta(model).db_table
        raise NotFound(f"Could not find {table} instance with id {row_id}")
    require_owner(request, parameter.removesuffix("_id"), row_id, getattr(row, owner))
    return row
