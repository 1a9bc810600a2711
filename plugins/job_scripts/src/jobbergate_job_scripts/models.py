"""The tables of job scripts and their files."""

from typing import Any

from tortoise import Model, fields
from tortoise.fields import OnDelete

from jobbergate_applications.api import Application
from jobbergate_server import EMAIL_LENGTH, FileField

NAME_LENGTH = 255
"""Characters of a name."""
PATH_LENGTH = 1024
"""Characters of the path of a file."""


class JobScript(Model):
    """A script for a cluster, with supporting files."""

    id = fields.IntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    updated_at = fields.DatetimeField(db_index=True)
    job_script_name = fields.CharField(NAME_LENGTH, db_index=True)
    job_script_description = fields.TextField(null=True)
    job_script_owner_email = fields.CharField(EMAIL_LENGTH, db_index=True)
    application: fields.ForeignKeyNullableRelation[Application] = fields.ForeignKeyField(
        "applications.Application", related_name=False, null=True, on_delete=OnDelete.SET_NULL, db_index=True
    )
    application_id: int | None
    is_archived = fields.BooleanField(default=False, db_index=True)

    job_script_files: dict[str, Any] | None = None

    class Meta:
        """Tortoise's options."""

        table = "job_scripts"
        indexes = (("job_script_owner_email", "id"),)


class JobScriptFile(Model):
    """A file of a job script, whose content is in the file store. One file of each job script is its main file."""

    id = fields.IntField(primary_key=True)
    job_script: fields.ForeignKeyRelation[JobScript] = fields.ForeignKeyField(
        "job_scripts.JobScript", related_name=False, on_delete=OnDelete.CASCADE, db_index=True
    )
    job_script_id: int
    path = fields.CharField(PATH_LENGTH)
    is_main = fields.BooleanField()
    digest = FileField()

    class Meta:
        """Tortoise's options."""

        table = "job_script_files"
        unique_together = (("job_script", "path"),)
