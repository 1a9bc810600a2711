"""The table of applications."""

from tortoise import Model, fields

NAME_LENGTH = 255
EMAIL_LENGTH = 320  # 64 characters before the @ and 255 after it: RFC 3696, section 3


class Application(Model):
    """A set of templates with their configuration, which users render into job scripts."""

    id = fields.IntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    updated_at = fields.DatetimeField(db_index=True)
    application_name = fields.CharField(NAME_LENGTH, db_index=True)
    application_identifier = fields.CharField(NAME_LENGTH, null=True, unique=True)
    application_description = fields.TextField(null=True)
    application_owner_email = fields.CharField(EMAIL_LENGTH, db_index=True)
    application_uploaded = fields.BooleanField(default=False, db_index=True)
    is_archived = fields.BooleanField(default=False, db_index=True)

    application_config: str | None = None
    application_source_file: str | None = None
    application_templates: dict[str, str] | None = None

    class Meta:
        """Tortoise's options."""

        table = "applications"
