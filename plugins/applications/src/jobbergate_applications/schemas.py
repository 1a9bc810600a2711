"""The request and response bodies of applications."""

from jobbergate_applications.models import NAME_LENGTH
from jobbergate_server import File, ListParameters, Schema, fields

DESCRIPTION_LENGTH = 65_536
"""Characters."""


class ApplicationSchema(Schema):
    """An application without its files."""

    id = fields.Integer(required=True, dump_only=True, example=4)
    created_at = fields.Timestamp(required=True)
    updated_at = fields.Timestamp(required=True)
    application_name = fields.Text(required=True, example="Fluid dynamics")
    application_identifier = fields.Text(required=True, allow_none=True, example="fluid-dynamics")
    application_description = fields.Text(required=True, allow_none=True, example="Flow around a body")
    application_owner_email = fields.Text(required=True, example="local-user@jobbergate.local")
    application_uploaded = fields.Boolean(required=True, example=True)
    is_archived = fields.Boolean(required=True, example=False)


class ApplicationDetailSchema(ApplicationSchema):
    """An application with the contents of its files, which are null until their upload."""

    application_config = fields.Text(required=True, allow_none=True, description="The text of jobbergate.yaml.")
    application_source_file = fields.Text(required=True, allow_none=True, description="The text of jobbergate.py.")
    application_templates = fields.Object(
        required=True, allow_none=True, description="The texts of the templates, by file name."
    )


class ApplicationCreateSchema(Schema):
    """A new application."""

    application_name = fields.Text(required=True, max_length=NAME_LENGTH, example="Fluid dynamics")
    application_identifier = fields.Text(
        allow_none=True, load_default=None, max_length=NAME_LENGTH, example="fluid-dynamics"
    )
    application_description = fields.Text(
        allow_none=True, load_default="", max_length=DESCRIPTION_LENGTH, example="Flow around a body"
    )


class ApplicationUpdateSchema(Schema):
    """Changes of an application. Omitted fields remain unchanged."""

    application_name = fields.Text(max_length=NAME_LENGTH, example="Fluid dynamics 2")
    application_identifier = fields.Text(allow_none=True, max_length=NAME_LENGTH, example="fluid-dynamics-2")
    application_description = fields.Text(allow_none=True, max_length=DESCRIPTION_LENGTH, example="Flow in a pipe")
    is_archived = fields.Boolean(example=False)
    application_config = fields.Text(
        description="The text of jobbergate.yaml.",
        example="application_config: {}\njobbergate_config: {default_template: main.sh.j2}\n",
    )


class ApplicationUploadSchema(Schema):
    """All files of an application."""

    upload_files = fields.List(
        File(), required=True, description="jobbergate.py, jobbergate.yaml and templates (.j2, .jinja2), as text/plain."
    )


class ApplicationFilesSchema(Schema):
    """Some files of an application."""

    source_file = File(description="Stored as jobbergate.py.")
    config_file = File(description="Stored as jobbergate.yaml.")
    template_files = fields.List(File(), description="Templates, stored under their base names.")


class ContentLengthSchema(Schema):
    """The header with the size of an upload."""

    content_length = fields.Integer(required=True, ge=0, le=None, data_key="content-length")


class ApplicationPathSchema(Schema):
    """The id in a path."""

    application_id = fields.Integer(required=True, ge=None, le=None, description="The application's id.", example=4)


class IdentifierSchema(Schema):
    """The identifier in a query."""

    identifier = fields.Text(required=True, description="The application's identifier.", example="fluid-dynamics")


class ApplicationListParameters(ListParameters):
    """The query of the list of applications."""

    all = fields.Boolean(load_default=False, description="Include applications without an identifier.")
    user = fields.Boolean(load_default=False, description="Only the caller's own applications.")
    include_archived = fields.Boolean(load_default=False, description="Include archived applications.")
