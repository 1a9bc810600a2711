"""Rows that are inserted and committed by one statement, which asks as well whether more has to be done."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient

from jobbergate_server.journal import Entry
from jobbergate_server.postgresql import Client, Transaction
from jobbergate_server.statements import Statement

KEPT = 1_000
"""How many statements are kept."""
INSERT = re.compile(
    r"(?P<into>INSERT INTO .+) VALUES \((?P<places>\$\d+(?:,\$\d+)*)\)(?: RETURNING (?P<returning>\"\w+\"))?"
)
PLACEHOLDER = re.compile(r"\$(\d+)")


class _NotAloneError(Exception):
    """A row was not inserted, because more has to be done than that."""


async def insert_alone(
    client: BaseDBAsyncClient, row: Model, unless: Sequence[Statement], along: Iterable[Entry]
) -> bool:
    """Insert and commit the row, unless one of the queries in ``unless`` finds anything; whether it was inserted.

    With it go the rows of journals in ``along``, which get its id and are made only if it may be inserted so.

    It is not, and nothing has happened, where one statement cannot do that: on SQLite, after another statement of the
    transaction that ``client`` stands for, or for a row with values that only the database knows.

    Raises:
        IntegrityError: It contradicts another row, or points to one that does not exist.
    """
    if not isinstance(client, Transaction) or client.has_begun:
        return False
    try:
        await row.save(using_db=cast("BaseDBAsyncClient", _Alone(client.pool, unless, list(along))))
    except _NotAloneError:
        return False
    return True


class _Alone:
    """A client of the database whose only statement is the one that inserts a row."""

    def __init__(self, client: Client, unless: Sequence[Statement], along: Sequence[Entry]) -> None:
        self._client = client
        self._unless = unless
        self._along = along

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client has it
        return getattr(self._client, name)

    async def execute_insert(self, query: str, values: list[Any]) -> Any:  # noqa: ANN401 - as the driver has it
        """Insert the row, as Tortoise asks for it.

        Raises:
            _NotAloneError: It was not inserted.
        """
        along = tuple((it.statement.sql, it.id_index) for it in self._along)
        sql = _single(query, tuple(it.sql for it in self._unless), along)
        more = [value for it in self._unless for value in it.values]
        for entry, id_index in self._along:
            more += entry.values[:id_index] + entry.values[id_index + 1 :]
        record = await self._client.execute_insert(sql, [*values, *more]) if sql else None
        if record is None:
            raise _NotAloneError
        return record


@lru_cache(KEPT)
def _single(query: str, unless: tuple[str, ...], along: tuple[tuple[str, int], ...]) -> str | None:
    """The ``query`` as one that inserts nothing when one of ``unless`` finds a row, and else answers with one.

    Those in ``along``, which are told where they have the id of the row, insert theirs together with it. None where
    that cannot be said, as of a row for which the database has values of its own.
    """
    match = INSERT.fullmatch(query)
    if match is None or (along and not match["returning"]):
        return None
    taken = match["places"].count("$")
    conditions = []
    for sql in unless:
        conditions.append(f"NOT EXISTS ({PLACEHOLDER.sub(partial(_later, taken), sql)})")
        taken += len(set(PLACEHOLDER.findall(sql)))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    insert = f"{match['into']} SELECT {match['places']}{where} RETURNING {match['returning'] or 1}"
    if not along:
        return insert
    parts = [f"new AS ({insert})"]
    for number, (sql, id_index) in enumerate(along):
        entry = cast("re.Match[str]", INSERT.fullmatch(sql))
        places = [f"${taken + place}" for place in range(1, entry["places"].count("$"))]
        taken += len(places)
        places.insert(id_index, f"new.{match['returning']}")
        parts.append(f"entry_{number} AS ({entry['into']} SELECT {', '.join(places)} FROM new)")  # noqa: S608 - Tortoise's statement, without values
    return f"WITH {', '.join(parts)} SELECT * FROM new"  # noqa: S608 - likewise


def _later(taken: int, placeholder: re.Match[str]) -> str:
    return f"${int(placeholder[1]) + taken}"
