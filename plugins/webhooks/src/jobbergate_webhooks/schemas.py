"""The request and response bodies of webhooks."""

from jobbergate_server import Schema, fields
from jobbergate_webhooks.models import EVENT_LENGTH, URL_LENGTH, Status

URL = "https://example.com/jobbergate"
EVENTS = ["job_submission.completed", "job_submission.failed"]


class WebhookSchema(Schema):
    """A webhook."""

    id = fields.Integer(required=True, dump_only=True, example=1)
    created_at = fields.Timestamp(required=True)
    updated_at = fields.Timestamp(required=True)
    owner_email = fields.Text(required=True, example="local-user@jobbergate.local")
    url = fields.Text(required=True, example=URL)
    events = fields.List(fields.Text(), required=True, example=EVENTS)
    is_enabled = fields.Boolean(required=True, example=True)


class NewWebhookSchema(WebhookSchema):
    """A new webhook, with the secret that signs its deliveries."""

    secret = fields.Text(
        required=True,
        description="The signing secret. No other response contains it.",
        example="whsec_C2FVsBQIhrscChlQIMV+b5s=",
    )


class WebhookUpdateSchema(Schema):
    """Changes of a webhook. Omitted fields remain unchanged."""

    url = fields.Text(max_length=URL_LENGTH, description="The URL that receives deliveries by POST.", example=URL)
    events = fields.List(
        fields.Text(max_length=EVENT_LENGTH), description="The names of the events to deliver.", example=EVENTS
    )
    is_enabled = fields.Boolean(description="Whether the server delivers events.", example=True)


class WebhookCreateSchema(WebhookUpdateSchema):
    """A new webhook."""

    url = fields.Text(
        required=True, max_length=URL_LENGTH, description="The URL that receives deliveries by POST.", example=URL
    )
    events = fields.List(
        fields.Text(max_length=EVENT_LENGTH),
        required=True,
        description="The names of the events to deliver.",
        example=EVENTS,
    )


class WebhookPathSchema(Schema):
    """The id in a path."""

    webhook_id = fields.Integer(required=True, ge=None, le=None, description="The webhook's id.", example=1)


class DeliverySchema(Schema):
    """The delivery of an event to a webhook: pending, delivered or failed."""

    id = fields.Integer(required=True, dump_only=True, example=12)
    created_at = fields.Timestamp(required=True)
    updated_at = fields.Timestamp(required=True)
    message_id = fields.Text(
        required=True, description="The id of the message, the same in every attempt.", example="msg_6f1d0c2b9a3e4875"
    )
    event = fields.Text(required=True, example=EVENTS[0])
    status = fields.Choice(tuple(Status), required=True, example=Status.DELIVERED)
    attempts = fields.Integer(required=True, example=1)
    next_attempt_at = fields.Timestamp(
        required=True,
        allow_none=True,
        description="The time of the next attempt. Null if the delivery has ended.",
        example=None,
    )
    response_status = fields.Integer(
        required=True, allow_none=True, description="The status of the last response.", example=204
    )
    error = fields.Text(
        required=True, allow_none=True, description="The reason why the last attempt failed.", example=None
    )
