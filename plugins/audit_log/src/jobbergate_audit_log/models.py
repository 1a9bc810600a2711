"""The table of the audit log."""

from typing import Any

from tortoise import Model, fields

from jobbergate_server import CLIENT_ID_LENGTH, EMAIL_LENGTH

NAME_LENGTH = 255


class AuditEntry(Model):
    """Something that was done: what, to what, by whom and when."""

    id = fields.BigIntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    event = fields.CharField(NAME_LENGTH)
    resource_id = fields.CharField(NAME_LENGTH, null=True)
    subject = fields.TextField(null=True)
    email = fields.CharField(EMAIL_LENGTH, null=True)
    client_id = fields.CharField(CLIENT_ID_LENGTH, null=True)
    data: dict[str, Any] = fields.JSONField()

    class Meta:
        """Tortoise's options."""

        table = "audit_entries"
