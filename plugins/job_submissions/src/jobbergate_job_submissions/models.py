"""The table of job submissions."""

from enum import StrEnum
from typing import Any

from tortoise import Model, fields
from tortoise.fields import OnDelete

from jobbergate_job_scripts.api import JobScript
from jobbergate_server import EMAIL_LENGTH

NAME_LENGTH = 255
"""Characters of a name or a client id."""


class Status(StrEnum):
    """The status of a submission on its cluster."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    REJECTED = "REJECTED"


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.REJECTED})
"""The statuses that an agent cannot change."""


class JobSubmission(Model):
    """A job script to run on the cluster of a client id."""

    id = fields.IntField(primary_key=True)
    created_at = fields.DatetimeField(db_index=True)
    updated_at = fields.DatetimeField(db_index=True)
    job_submission_name = fields.CharField(NAME_LENGTH, db_index=True)
    job_submission_description = fields.TextField(null=True)
    job_submission_owner_email = fields.CharField(EMAIL_LENGTH, db_index=True)
    job_script: fields.ForeignKeyNullableRelation[JobScript] = fields.ForeignKeyField(
        "job_scripts.JobScript", related_name=False, null=True, on_delete=OnDelete.SET_NULL, db_index=True
    )
    job_script_id: int | None
    execution_directory = fields.TextField(null=True)
    slurm_job_id = fields.IntField(null=True, db_index=True)
    client_id = fields.CharField(NAME_LENGTH, db_index=True)
    status = fields.CharEnumField(Status, max_length=16, default=Status.CREATED, db_index=True)
    report_message = fields.TextField(null=True)
    execution_parameters: fields.JSONField[dict[str, Any] | None] = fields.JSONField(null=True)

    job_script_files: dict[str, Any] | None = None

    class Meta:
        """Tortoise's options."""

        table = "job_submissions"
        indexes = (("job_submission_owner_email", "id"), ("client_id", "status", "id"))
