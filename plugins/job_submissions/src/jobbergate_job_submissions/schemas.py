"""The request and response bodies of job submissions."""

from typing import Any

import marshmallow as ma

from jobbergate_job_scripts.api import JobScriptFilesSchema
from jobbergate_job_submissions.models import NAME_LENGTH, Status
from jobbergate_job_submissions.parameters import UNSET, Parameters
from jobbergate_server import ListParameters, Schema, fields

DESCRIPTION_LENGTH = 65_536
"""Characters of a description or a report message."""
DIRECTORY_LENGTH = 4_096
"""Characters of a path: PATH_MAX of Linux."""


class JobSubmissionSchema(Schema):
    """A job submission."""

    id = fields.Integer(required=True, dump_only=True, example=7)
    created_at = fields.Timestamp(required=True)
    updated_at = fields.Timestamp(required=True)
    job_submission_name = fields.Text(required=True, example="Flow around a car, fine mesh")
    job_submission_description = fields.Text(required=True, allow_none=True, example="Second night")
    job_submission_owner_email = fields.Text(required=True, example="local-user@jobbergate.local")
    job_script_id = fields.Integer(required=True, allow_none=True, example=1)
    execution_directory = fields.Text(required=True, allow_none=True, example="/home/local-user/car")
    slurm_job_id = fields.Integer(required=True, allow_none=True, example=4711)
    client_id = fields.Text(required=True, description="The cluster's client id.", example="local-cluster")
    status = fields.Choice(tuple(Status), required=True, example=Status.SUBMITTED)
    report_message = fields.Text(required=True, allow_none=True, example=None)
    execution_parameters = Parameters(
        required=True,
        allow_none=True,
        description="All parameters. Unset parameters are null.",
        example={**UNSET, "tasks": 4},
    )
    job_script_name = fields.Text(
        required=True, allow_none=True, attribute="job_script.job_script_name", example="Flow around a car"
    )


class JobSubmissionCreateSchema(Schema):
    """A new job submission."""

    job_submission_name = fields.Text(required=True, max_length=NAME_LENGTH, example="Flow around a car, fine mesh")
    job_submission_description = fields.Text(
        allow_none=True, load_default=None, max_length=DESCRIPTION_LENGTH, example="Second night"
    )
    job_script_id = fields.Integer(required=True, example=1)
    execution_directory = fields.Path(
        allow_none=True, load_default=None, max_length=DIRECTORY_LENGTH, example="/home/local-user/car"
    )
    client_id = fields.Text(
        allow_none=True,
        load_default=None,
        max_length=NAME_LENGTH,
        description="The cluster's client id. It defaults to that of the token.",
    )
    execution_parameters = Parameters(load_default=dict, description="The parameters to set.", example={"tasks": 4})


class JobSubmissionUpdateSchema(Schema):
    """Changes of a job submission. Omitted fields remain unchanged."""

    job_submission_name = fields.Text(max_length=NAME_LENGTH, example="Flow around a car, finer mesh")
    job_submission_description = fields.Text(allow_none=True, max_length=DESCRIPTION_LENGTH, example="Third night")
    execution_directory = fields.Path(allow_none=True, max_length=DIRECTORY_LENGTH, example="/scratch/car")
    status = fields.Choice(tuple(Status), example=Status.UNKNOWN)


class JobSubmissionPathSchema(Schema):
    """The id in a path."""

    job_submission_id = fields.Integer(required=True, ge=None, le=None, description="The submission's id.", example=7)


class JobSubmissionListParameters(ListParameters):
    """The query of the list of job submissions."""

    all = fields.Boolean(load_default=False, description="Include the submissions of all owners.")
    submit_status = fields.Choice(tuple(Status), description="Only submissions in this status.")
    slurm_job_ids = fields.Text(
        load_default="",
        description="Only submissions with these Slurm job ids, separated by commas.",
        example="4711,4712",
    )
    from_job_script_id = fields.Integer(description="Only submissions of this job script.", example=1)


class SetParameters(fields.Object):
    """The set execution parameters, in the order of the wire."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002 - marshmallow's signature
        return {name: value[name] for name in UNSET if name in value} if value else {}


class PendingSubmissionSchema(Schema):
    """A submission that an agent must start, with the data it needs."""

    @ma.post_dump
    def name_application(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Return an empty text for a missing application, because agents require a text."""
        return {**data, "application_name": data["application_name"] or ""}

    id = fields.Integer(required=True, dump_only=True, example=7)
    job_submission_name = fields.Text(required=True, example="Flow around a car, fine mesh")
    job_submission_owner_email = fields.Text(required=True, example="local-user@jobbergate.local")
    execution_directory = fields.Text(required=True, allow_none=True, example="/home/local-user/car")
    execution_parameters = SetParameters(required=True, example={"tasks": 4})
    job_script_name = fields.Text(required=True, attribute="job_script.job_script_name", example="Flow around a car")
    application_name = fields.Text(
        required=True,
        attribute="job_script.application.application_name",
        description="Empty after the deletion of the application.",
        example="Fluid dynamics",
    )
    job_script_files = fields.Nested(JobScriptFilesSchema, required=True)


class ActiveSubmissionSchema(Schema):
    """A submission that a cluster has submitted to Slurm."""

    id = fields.Integer(required=True, dump_only=True, example=7)
    job_submission_name = fields.Text(required=True, example="Flow around a car, fine mesh")
    slurm_job_id = fields.Integer(required=True, example=4711)


class AgentUpdateSchema(Schema):
    """An agent's report about a submission."""

    new_status = fields.Choice(tuple(Status), required=True, example=Status.SUBMITTED)
    slurm_job_id = fields.Integer(
        allow_none=True, load_default=None, description="The id of the job in Slurm.", example=4711
    )
    report_message = fields.Text(
        allow_none=True,
        load_default=None,
        max_length=DESCRIPTION_LENGTH,
        description="The reason, for the owner.",
        example=None,
    )
