"""The server's own tables."""

from typing import Any

from tortoise import Model, fields

from jobbergate_server.database.file_field import DIGEST_LENGTH


class InstalledPlugin(Model):
    """A plugin that has or had tables in this database, and what belongs to it."""

    slug = fields.CharField(255, primary_key=True)
    distribution = fields.CharField(255)
    version = fields.CharField(255)
    tables: list[str] = fields.JSONField()
    permissions: list[str] = fields.JSONField()

    class Meta:
        """Tortoise's options."""

        table = "installed_plugins"


class EventRecord(Model):
    """An event that was committed: what happened, to which subject, and who caused it."""

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
    """How far a plugin has read the events."""

    slug = fields.CharField(255, primary_key=True)
    transaction_id = fields.BigIntField()
    event_id = fields.BigIntField()

    class Meta:
        """Tortoise's options."""

        table = "event_cursors"


class IdempotencyKey(Model):
    """A key of a caller, the request that it was used for, and the answer to that."""

    id = fields.CharField(DIGEST_LENGTH, primary_key=True)
    fingerprint = fields.CharField(DIGEST_LENGTH)
    created_at = fields.DatetimeField(db_index=True)
    status = fields.SmallIntField()
    headers: dict[str, str] = fields.JSONField()
    body = fields.BinaryField()

    class Meta:
        """Tortoise's options."""

        table = "idempotency_keys"
