"""The tables of applications and their files."""

from enum import StrEnum

from tortoise import Model, fields
from tortoise.fields import OnDelete

from jobbergate_server import EMAIL_LENGTH, FileField

NAME_LENGTH = 255
"""Characters of a name or an identifier."""


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
        indexes = (("application_owner_email", "id"),)


class Kind(StrEnum):
    """The role of a file in its application."""

    SOURCE = "source"
    CONFIG = "config"
    TEMPLATE = "template"


class ApplicationFile(Model):
    """A file of an application, whose content is in the file store."""

    id = fields.IntField(primary_key=True)
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "applications.Application", related_name=False, on_delete=OnDelete.CASCADE, db_index=True
    )
    application_id: int
    kind = fields.CharEnumField(Kind, max_length=16)
    name = fields.CharField(NAME_LENGTH)
    digest = FileField()

    class Meta:
        """Tortoise's options."""

        table = "application_files"
        unique_together = (("application", "kind", "name"),)
