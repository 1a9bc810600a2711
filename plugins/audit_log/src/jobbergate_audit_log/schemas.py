"""The query and the response of the audit log."""

from typing import Any

from jobbergate_server import ListParameters, Schema, fields


class EventData(fields.Object):
    """The data of an event without the id of its subject, which an entry shows as `resource_id`."""

    def _serialize(self, value: Any, attr: str | None, obj: object, **options: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002 - marshmallow's signature
        return {name: item for name, item in value.items() if name != "id"}


class AuditEntrySchema(Schema):
    """An event: a change that a request or a command has committed."""

    id = fields.Integer(required=True, ge=1, le=None, example=1)
    created_at = fields.Timestamp(required=True, description="The time of the change.")
    event = fields.Text(
        required=True, attribute="type", description="The name of the event.", example="job_script.updated"
    )
    resource_id = fields.Text(
        required=True, attribute="subject_id", allow_none=True, description="The id of its subject.", example="1"
    )
    subject = fields.Text(
        required=True,
        attribute="actor_subject",
        allow_none=True,
        description="The `sub` of the caller's token; null for a command of the server.",
        example="1f0e2a64-9c1b-4d6e-8a55-0c3b7a1d2e90",
    )
    email = fields.Text(
        required=True,
        attribute="actor_email",
        allow_none=True,
        description="The `email` of the caller's token.",
        example="local-user@jobbergate.local",
    )
    client_id = fields.Text(
        required=True,
        attribute="actor_client_id",
        allow_none=True,
        description="The `azp` of the caller's token.",
        example="cli",
    )
    data = EventData(
        required=True,
        description="The data of the event.",
        example={"owner_email": "local-user@jobbergate.local", "job_script_name": "Flow around a car"},
    )


class AuditEntryListParameters(ListParameters):
    """The query of the list."""

    event = fields.Text(description="Only events with this name.", example="job_script.updated")
    resource_id = fields.Text(description="Only changes of this subject; combine it with `event`.", example="1")
    email = fields.Text(
        description="Only changes by the caller with this address.", example="local-user@jobbergate.local"
    )
