"""What clients send and are answered."""

from jobbergate_server import ListParameters, Schema, fields


class AuditEntrySchema(Schema):
    """Something that was done."""

    id = fields.Integer(required=True, ge=1, le=None, example=1)
    created_at = fields.Timestamp(required=True, description="When it was done.")
    event = fields.Text(required=True, description="What was done.", example="job_script.updated")
    resource_id = fields.Text(required=True, allow_none=True, description="The id of what it was done to.", example="1")
    subject = fields.Text(
        required=True,
        allow_none=True,
        description="The `sub` of the token of whoever did it; null for a command of the server.",
        example="1f0e2a64-9c1b-4d6e-8a55-0c3b7a1d2e90",
    )
    email = fields.Text(
        required=True, allow_none=True, description="The `email` of that token.", example="local-user@jobbergate.local"
    )
    client_id = fields.Text(required=True, allow_none=True, description="The `azp` of that token.", example="cli")
    data = fields.Object(
        required=True,
        description="What the event tells of it.",
        example={"owner_email": "local-user@jobbergate.local", "job_script_name": "Flow around a car"},
    )


class AuditEntryListParameters(ListParameters):
    """The query of the list."""

    event = fields.Text(description="Only events of this name.", example="job_script.updated")
    resource_id = fields.Text(description="Only what was done to this; to be asked with `event`.", example="1")
    email = fields.Text(description="Only what this address did.", example="local-user@jobbergate.local")
