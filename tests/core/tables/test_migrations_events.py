"""The entries of an audit log from before the table `events` become events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobbergate_server.database.models import EventRecord
from jobbergate_server.installation import Installation
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate, strangers

if TYPE_CHECKING:
    from jobbergate_server.database.connection import Database

BEFORE = """
CREATE TABLE audit_entries (
    id INTEGER, created_at {moment}, event TEXT, resource_id TEXT, subject TEXT, email TEXT, client_id TEXT, data {json}
);
INSERT INTO audit_entries VALUES (
    7, '2026-01-02 03:04:05+00:00', 'job_script.created', '5', '7f1c', 'me@example.com', 'cli',
    '{{"owner_email": "owner@example.com", "client_id": "cluster"}}'
);
DELETE FROM tortoise_migrations WHERE app = 'service' AND name = '0004_audit_entries';
INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('audit_log', '0001_initial', '2026-01-02 03:04:05');
"""


async def prepare(database: Database) -> None:
    """Set the database back to when the audit log had a table of its own."""
    types = {"moment": "TEXT", "json": "JSON"} if database.is_sqlite else {"moment": "TIMESTAMPTZ", "json": "JSONB"}
    await database.client.execute_script(BEFORE.format(**types))


async def test_entries_become_events_and_their_table_is_dropped(empty_database_url: str) -> None:
    installation = Installation.of(load_settings(None, database={"url": empty_database_url}))
    async with installation.connected() as database:
        await migrate(database, installation.contributions)
        await prepare(database)
        assert await strangers(database) == ["audit_log"]
        assert await migrate(database, installation.contributions) == ["service.0004_audit_entries"]
        assert await strangers(database) == []
        with database.bound():
            row = await EventRecord.get()
    assert (row.type, row.subject_id, row.owner_email, row.client_id) == (
        "job_script.created",
        "5",
        "owner@example.com",
        "cluster",
    )
    assert (row.actor_subject, row.actor_email, row.actor_client_id) == ("7f1c", "me@example.com", "cli")
