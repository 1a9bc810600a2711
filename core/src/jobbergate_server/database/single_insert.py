"""A row that one statement inserts and commits, together with its events: one round trip instead of four."""

from collections.abc import Sequence
from typing import Any, cast

from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient

from jobbergate_server.database.event_log import SUBJECT_ID, insertion
from jobbergate_server.database.postgresql import Client, Transaction

RETURNING = " RETURNING "


class _UnsuitableError(Exception):
    """The row needs more than one statement; nothing was inserted."""


async def insert_alone(client: BaseDBAsyncClient, row: Model, events: Sequence[list[Any]]) -> bool:
    """Insert and commit ``row`` with the rows of its ``events``, and return whether that was possible.

    It is not possible on SQLite, or after another statement in the transaction of ``client``. Nor is it possible for a
    row whose key the database does not generate. In these cases nothing is written.

    Raises:
        IntegrityError: The row conflicts with another one, or references one that does not exist.
    """
    if not isinstance(client, Transaction) or client.has_begun:
        return False
    try:
        await row.save(using_db=cast("BaseDBAsyncClient", _Alone(client.pool, row._meta.db_pk_column, events)))  # noqa: SLF001 - Tortoise's way to the columns
    except _UnsuitableError:
        return False
    return True


class _Alone:
    """A client of the database that executes one statement, the INSERT of a row."""

    def __init__(self, client: Client, key: str, events: Sequence[list[Any]]) -> None:
        self._client = client
        self._key = f'"{key}"'
        self._events = events

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as in the client
        return getattr(self._client, name)

    async def execute_insert(self, query: str, values: list[Any]) -> Any:  # noqa: ANN401 - as in the driver
        """Insert the row and its events, and return the driver's result for the row.

        Raises:
            _UnsuitableError: The statement does not return a key.
        """
        _, returning, columns = query.rpartition(RETURNING)
        if not returning or self._key not in columns:
            raise _UnsuitableError
        parts = [f"new AS ({query})"]
        values = list(values)
        for number, event in enumerate(self._events):
            statement = insertion(len(values) + 1, self._key if event[SUBJECT_ID] is None else None)
            parts.append(f"event_{number} AS ({statement})")
            values += event
        return await self._client.execute_insert(f"WITH {', '.join(parts)} SELECT * FROM new", values)  # noqa: S608 - of statements with placeholders
