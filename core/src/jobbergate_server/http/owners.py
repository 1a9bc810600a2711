"""Rows of the caller: who owns what, and who may change it."""

from aiohttp import web

from jobbergate_server.auth.middleware import IDENTITY
from jobbergate_server.database.meta import meta
from jobbergate_server.database.prepared import Row
from jobbergate_server.database.rows import get_row
from jobbergate_server.errors import Forbidden, NotFound
from jobbergate_server.http.requests import PATH


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


async def get_own_row(
    request: web.Request, model: type[Row], parameter: str, *related: str, owner: str, lock: bool = True
) -> Row:
    """The row whose id is in the path as ``parameter`` (`webhook_id`), which must be the caller's.

    ``owner`` is the column with its owner's e-mail address; ``related`` and ``lock`` are as with `get_row`.

    Raises:
        NotFound: There is no such row.
        Forbidden: It is somebody else's.
    """
    row_id = request[PATH][parameter]
    row = await get_row(model, row_id, *related, lock=lock)
    if row is None:
        table = meta(model).db_table
        raise NotFound(f"Could not find {table} instance with id {row_id}")
    require_owner(request, parameter.removesuffix("_id"), row_id, getattr(row, owner))
    return row
