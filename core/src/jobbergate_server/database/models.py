"""The server's own tables."""

from typing import Any

from tortoise import Model, fields

from jobbergate_server.database.file_field import DIGEST_LENGTH


class InstalledPlugin(Model):
    """A plugin with tables in this database, and its tables and permissions."""

    slug = fields.CharField(255, primary_key=True)
    distribution = fields.CharField(255)
    version = fields.CharField(255)
    tables: list[str] = fields.JSONField()
    permissions: list[str] = fields.JSONField()

    class Meta:
        """Tortoise's options."""

        table = "installed_plugins"


class EventRecord(Model):
    """A committed event: its type, its subject, and its actor."""

    id = fields.BigIntField(primary_key=True)
    transaction_id = fields.BigIntField()
    created_at = fields.DatetimeField(db_index=True)
    type = fields.TextField()
    slug = fields.TextField(null=True)
    subject_id = fields.TextField(null=True)
    owner_email = fields.TextField(null=True)
    client_id = fields.TextField(null=True)
    actor_subject = fields.TextField(null=True)
    actor_email = fields.TextField(null=True)
    actor_client_id = fields.TextField(null=True)
    request_id = fields.TextField(null=True)
    data: dict[str, Any] = fields.JSONField()

    class Meta:
        """Tortoise's options."""

        table = "events"
        indexes = (("transaction_id", "id"),)


class EventCursor(Model):
    """The position of a plugin in the events."""

    slug = fields.CharField(255, primary_key=True)
    transaction_id = fields.BigIntField()
    event_id = fields.BigIntField()

    class Meta:
        """Tortoise's options."""

        table = "event_cursors"


class IdempotencyKey(Model):
    """A key of a caller, the fingerprint of its request, and the response."""

    id = fields.CharField(DIGEST_LENGTH, primary_key=True)
    fingerprint = fields.CharField(DIGEST_LENGTH)
    created_at = fields.DatetimeField(db_index=True)
    status = fields.SmallIntField()
    headers: dict[str, str] = fields.JSONField()
    body = fields.BinaryField()

    class Meta:
        """Tortoise's options."""

        table = "idempotency_keys"
