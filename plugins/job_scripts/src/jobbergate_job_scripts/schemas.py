"""The request and response bodies of job scripts."""

from typing import Any

import marshmallow as ma

from jobbergate_applications.api import confined_path
from jobbergate_job_scripts.models import NAME_LENGTH
from jobbergate_job_scripts.storage import MAX_FILES
from jobbergate_server import FieldError, File, ListParameters, Schema, fields

DESCRIPTION_LENGTH = 65_536
"""Characters."""


class JobScriptFilesSchema(Schema):
    """The files of a job script."""

    main_file_path = fields.Text(required=True, example="main.sh")
    files = fields.Object(required=True, description="Texts by path.", example={"main.sh": "#!/bin/bash\nhostname\n"})


class JobScriptFilesUpdateSchema(JobScriptFilesSchema):
    """The new files of a job script."""

    files = fields.Object(
        values=fields.Text(),
        required=True,
        description="Texts by path.",
        example={"main.sh": "#!/bin/bash\nhostname\n"},
    )

    @ma.post_load
    def normalise(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Normalise the paths, and check that the main file is among them."""
        if len(data["files"]) > MAX_FILES:
            raise fields.invalid(FieldError("value_error", f"a job script has at most {MAX_FILES} files"))
        try:
            main = confined_path(data["main_file_path"])
            files = {confined_path(path): text for path, text in data["files"].items()}
        except ValueError as error:
            raise fields.invalid(FieldError("value_error", str(error))) from None
        if main not in files:
            raise fields.invalid(FieldError("value_error", "main_file_path is not a valid key on the dict files"))
        return {"main_file_path": main, "files": files}


class JobScriptSchema(Schema):
    """A job script. A list omits its files."""

    id = fields.Integer(required=True, dump_only=True, example=1)
    created_at = fields.Timestamp(required=True)
    updated_at = fields.Timestamp(required=True)
    job_script_name = fields.Text(required=True, example="Flow around a car")
    job_script_description = fields.Text(required=True, allow_none=True, example="")
    job_script_files = fields.Nested(JobScriptFilesSchema, required=True, allow_none=True)
    job_script_owner_email = fields.Text(required=True, example="local-user@jobbergate.local")
    application_name = fields.Text(
        required=True, allow_none=True, attribute="application.application_name", example="Fluid dynamics"
    )
    application_id = fields.Integer(required=True, allow_none=True, example=4)
    is_archived = fields.Boolean(required=True, example=False)


class JobScriptCreateSchema(Schema):
    """A new job script."""

    job_script_name = fields.Text(required=True, max_length=NAME_LENGTH, example="Flow around a car")
    job_script_description = fields.Text(
        allow_none=True, load_default="", max_length=DESCRIPTION_LENGTH, example="First try"
    )
    application_id = fields.Integer(
        allow_none=True,
        load_default=None,
        description="The application to render. Without it, the job script has no files.",
    )
    sbatch_params = fields.List(
        fields.Text(),
        allow_none=True,
        load_default=None,
        description="Options for the script's `#SBATCH` lines.",
        example=["--ntasks=4"],
    )
    param_dict = fields.Object(
        allow_none=True, load_default=None, description="Sections that replace those of jobbergate.yaml.", example={}
    )


class JobScriptUpdateSchema(Schema):
    """Changes of a job script. Omitted fields remain unchanged."""

    job_script_name = fields.Text(max_length=NAME_LENGTH, example="Flow around a lorry")
    job_script_description = fields.Text(allow_none=True, max_length=DESCRIPTION_LENGTH, example="Second try")
    is_archived = fields.Boolean(example=False)
    job_script_files = fields.Nested(
        JobScriptFilesUpdateSchema, allow_none=True, description="The files that replace all files. Null keeps them."
    )
    sbatch_params = fields.List(fields.Text(), allow_none=True, description="Ignored.", load_only=True)
    param_dict = fields.Text(allow_none=True, description="Ignored.", load_only=True)


class JobScriptUploadSchema(Schema):
    """A file for a job script."""

    job_script_file = File(required=True)


class MessageSchema(Schema):
    """The outcome of an upload."""

    message = fields.Text(required=True, example="Successfully uploaded main.sh for job_script_id=1")


class JobScriptPathSchema(Schema):
    """The id in a path."""

    job_script_id = fields.Integer(required=True, ge=None, le=None, description="The job script's id.", example=1)


class JobScriptListParameters(ListParameters):
    """The query of the list of job scripts."""

    all = fields.Boolean(load_default=False, description="Include the job scripts of all owners.")
    include_archived = fields.Boolean(load_default=False, description="Include archived job scripts.")
    from_application_id = fields.Integer(description="Only job scripts rendered from this application.", example=4)
