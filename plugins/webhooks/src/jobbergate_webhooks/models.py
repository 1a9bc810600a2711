"""The tables of webhooks and of what is delivered to them."""

from enum import StrEnum

from tortoise import Model, fields
from tortoise.fields import OnDelete

from jobbergate_server import EMAIL_LENGTH

URL_LENGTH = 2048
EVENT_LENGTH = 255


class Webhook(Model):
    """A URL that is told of events, as far as they concern what its owner has."""

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
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Model):
    """An event on its way to a webhook, or what became of it."""

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
