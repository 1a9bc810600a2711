"""The tables of webhooks and their deliveries."""

from enum import StrEnum

from tortoise import Model, fields
from tortoise.fields import OnDelete

from jobbergate_server import EMAIL_LENGTH

URL_LENGTH = 2048
"""Characters of a URL."""
EVENT_LENGTH = 255
"""Characters of the name of an event."""


class Webhook(Model):
    """A URL that receives events about the resources of its owner."""

    id = fields.IntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    updated_at = fields.DatetimeField(db_index=True)
    owner_email = fields.CharField(EMAIL_LENGTH, db_index=True)
    url = fields.CharField(URL_LENGTH)
    events: fields.JSONField[list[str]] = fields.JSONField()
    secret = fields.CharField(64)
    is_enabled = fields.BooleanField(default=True)

    class Meta:
        """Tortoise's options."""

        table = "webhooks"


class Status(StrEnum):
    """The status of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Model):
    """The delivery of an event to a webhook: pending, delivered or failed."""

    id = fields.IntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    updated_at = fields.DatetimeField(db_index=True)
    webhook: fields.ForeignKeyRelation[Webhook] = fields.ForeignKeyField(
        "webhooks.Webhook", related_name=False, on_delete=OnDelete.CASCADE, db_index=True
    )
    webhook_id: int
    message_id = fields.CharField(64)
    event = fields.CharField(EVENT_LENGTH)
    payload = fields.TextField()
    status = fields.CharEnumField(Status, max_length=16, default=Status.PENDING)
    attempts = fields.IntField(default=0)
    next_attempt_at = fields.DatetimeField(null=True, db_index=True)
    response_status = fields.IntField(null=True)
    error = fields.TextField(null=True)

    class Meta:
        """Tortoise's options."""

        table = "webhook_deliveries"
        unique_together = (("webhook", "message_id"),)
