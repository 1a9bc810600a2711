"""The event log: the table `events`, written in the transaction of each event and read in the order of commits.

A sequence assigns ids before their transactions commit, so a reader that follows ids alone skips rows. On PostgreSQL
each row therefore stores the id of its transaction. A reader reads the rows of transactions that are older than every
running one (PostgreSQL manual, section 9.27.9, `pg_snapshot_xmin`). SQLite has one writer at a time: ids are in order.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient

from jobbergate_server.database.models import EventCursor, EventRecord
from jobbergate_server.events import Event, Origin

COLUMNS = (
    "created_at",
    "type",
    "slug",
    "subject_id",
    "owner_email",
    "client_id",
    "actor_subject",
    "actor_email",
    "actor_client_id",
    "request_id",
    "data",
)
"""The columns that a writer fills, in the order of its parameters."""
SUBJECT_ID, DATA = COLUMNS.index("subject_id"), COLUMNS.index("data")
INTO = f"INSERT INTO events (transaction_id, {', '.join(COLUMNS)})"
TRANSACTION_ID = "pg_current_xact_id()::text::bigint"
SETTLED = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
"""The first transaction that may still be running."""
LAST_ID = 2**63 - 1
IS_FOREIGN = """
SELECT greatest((SELECT max(transaction_id) FROM events), (SELECT max(transaction_id) FROM event_cursors))
>= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
"""Whether an event or a cursor has the id of a transaction that this PostgreSQL server has not begun yet."""
RENUMBER = """
UPDATE event_cursors AS it SET transaction_id = 0, event_id = coalesce(
    (SELECT min(id) - 1 FROM events WHERE (transaction_id, id) > (it.transaction_id, it.event_id)),
    (SELECT max(id) FROM events),
    0
);
UPDATE events SET transaction_id = 0;
"""
PURGE_BATCH_ROWS = 10_000
"""Rows that one statement of `purge_events` deletes."""

Fetch = Callable[[str, Sequence[object]], Awaitable[Sequence[Any]]]
"""A function that executes a query with the values of its parameters, and returns the driver's rows."""


class Position(NamedTuple):
    """The place of a reader in the log, after the event with this id of this transaction."""

    transaction_id: int
    id: int


class Entry(NamedTuple):
    """An event of the log, with its place."""

    event: Event
    position: Position


def values(event: Event, origin: Origin, moment: datetime, slug: str | None) -> list[Any]:
    """Return the row of ``event`` as the values of `COLUMNS`."""
    subject_id, owner, client_id = (event.data.get(name) for name in ("id", "owner_email", "client_id"))
    row: Mapping[str, object] = {
        "created_at": moment,
        "type": event.name,
        "slug": slug,
        "subject_id": None if subject_id is None else str(subject_id),
        "owner_email": owner,
        "client_id": client_id,
        "actor_subject": origin.subject,
        "actor_email": origin.email,
        "actor_client_id": origin.client_id,
        "request_id": origin.request_id,
        "data": dict(event.data),
    }
    fields = EventRecord._meta.fields_map  # noqa: SLF001 - Tortoise's way to the columns of a model
    return [fields[name].to_db_value(row[name], EventRecord) for name in COLUMNS]


def insertion(first: int, new_id: str | None = None) -> str:
    """Return PostgreSQL's statement that inserts one row, whose parameters are numbered from ``first``.

    If the row `new` is the subject, its id does not exist yet: ``new_id`` is its quoted key.
    """
    places = [f"${first + n}" for n in range(len(COLUMNS))]
    if new_id:
        places[SUBJECT_ID] = f"coalesce({places[SUBJECT_ID]}, new.{new_id}::text)"
        places[DATA] += f"::jsonb || jsonb_build_object('id', new.{new_id})"
    source = " FROM new" if new_id else ""
    return f"{INTO} SELECT {TRANSACTION_ID}, {', '.join(places)}{source}"


async def append(client: BaseDBAsyncClient, rows: list[list[Any]]) -> None:
    """Insert ``rows``, as `values` returns them, in the transaction of ``client``."""
    is_sqlite = client.capabilities.dialect == "sqlite"
    sql = f"{INTO} VALUES (0{', ?' * len(COLUMNS)})" if is_sqlite else insertion(1)
    await client.execute_many(sql, rows)


async def read(fetch: Fetch, after: Position, limit: int, *, is_sqlite: bool) -> list[Entry]:
    """Return at most ``limit`` events that follow ``after``, in an order that no later commit changes."""
    settled = "" if is_sqlite else f"AND transaction_id < {SETTLED} "
    places = ("?", "?", "?") if is_sqlite else ("$1", "$2", "$3")
    rows = await fetch(
        f"SELECT id, transaction_id, {', '.join(COLUMNS)} FROM events "  # noqa: S608 - of constants
        f"WHERE (transaction_id, id) > ({places[0]}, {places[1]}) {settled}"
        f"ORDER BY transaction_id, id LIMIT {places[2]}",
        (*after, limit),
    )
    return [Entry(_event(row), Position(row["transaction_id"], row["id"])) for row in rows]


async def renumber_restored(connection: asyncpg.Connection) -> bool:
    """Order the events by their ids alone if they were restored from another PostgreSQL server; return whether so.

    The ids of that server's transactions may be ahead, so that readers would skip events for a long time. Only a
    leader may call this. A plugin may get events again that committed late on the other server.
    """
    if not await connection.fetchval(IS_FOREIGN):
        return False
    # One snapshot: an event that is committed meanwhile keeps its transaction, and follows all others.
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(RENUMBER)
    return True


async def end(fetch: Fetch, *, is_sqlite: bool) -> Position:
    """Return the position that precedes every event that is not committed yet."""
    if is_sqlite:
        return Position(0, (await fetch("SELECT coalesce(max(id), 0) FROM events", ()))[0][0])
    return Position((await fetch(f"SELECT {SETTLED} - 1", ()))[0][0], LAST_ID)


async def cursor(slug: str) -> Position:
    """Return the position of the plugin ``slug``, which must be started once before."""
    row = await EventCursor.get(slug=slug)
    return Position(row.transaction_id, row.event_id)


async def save_cursor(fetch: Fetch, slug: str, position: Position, *, is_sqlite: bool) -> None:
    """Store the position of the plugin ``slug``; a leader that has lost its lock fails."""
    places = ("?", "?", "?") if is_sqlite else ("$1", "$2", "$3")
    await fetch(
        "UPDATE event_cursors SET transaction_id = {}, event_id = {} WHERE slug = {}".format(*places),  # noqa: S608 - of placeholders
        (*position, slug),
    )


async def create_cursors(slugs: Iterable[str], position: Position) -> None:
    """Create cursors at ``position`` for the plugins among ``slugs`` that start for the first time."""
    cursors = [EventCursor(slug=it, transaction_id=position.transaction_id, event_id=position.id) for it in slugs]
    await EventCursor.bulk_create(cursors, ignore_conflicts=True)


async def purge_events(before: datetime) -> int:
    """Delete the events that are older than ``before``, including unread ones, and return their number."""
    deleted = 0
    while True:
        ids = await EventRecord.filter(created_at__lt=before).order_by("id").limit(PURGE_BATCH_ROWS).values_list("id")
        deleted += await EventRecord.filter(created_at__lt=before, id__lte=ids[-1][0]).delete() if ids else 0
        if len(ids) < PURGE_BATCH_ROWS:
            return deleted


def _event(row: Mapping[str, Any]) -> Event:
    moment = EventRecord._meta.fields_map["created_at"].to_python_value(row["created_at"])  # noqa: SLF001 - as above
    origin = Origin(row["actor_subject"], row["actor_email"], row["actor_client_id"], row["request_id"])
    return Event(row["type"], json.loads(row["data"]), row["id"], moment, origin)
