"""The routes of job scripts."""

from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, response_schema
from tortoise.expressions import Q

from jobbergate_applications.models import Application
from jobbergate_job_scripts.models import JobScript
from jobbergate_job_scripts.permissions import EDIT, VIEW
from jobbergate_job_scripts.schemas import (
    JobScriptCreateSchema,
    JobScriptListParameters,
    JobScriptPathSchema,
    JobScriptSchema,
    JobScriptUpdateSchema,
)
from jobbergate_server import (
    BODY,
    IDENTITY,
    PATH,
    QUERY,
    ListQuery,
    NotFound,
    Route,
    Unprocessable,
    delete_row,
    find,
    now,
    require_email,
    require_owner,
)

COLUMNS = ("job_script_name", "job_script_description", "is_archived")


def listed(request: web.Request) -> Q:
    """The job scripts that a list shows: the caller's own that are not archived, unless it asks for more."""
    query = request[QUERY]
    rows = Q()
    if not query["all"]:
        rows &= Q(job_script_owner_email=request[IDENTITY].email)
    if not query["include_archived"]:
        rows &= Q(is_archived=False)
    if "from_application_id" in query:
        rows &= Q(application_id=query["from_application_id"])
    return rows


list_job_scripts = ListQuery(
    JobScript,
    JobScriptSchema,
    parameters=JobScriptListParameters,
    where=listed,
    search=["job_script_name", "job_script_description", "job_script_owner_email"],
    sort=["id", "job_script_name", "job_script_owner_email", "application_id", "created_at", "updated_at"],
    null=["job_script_files"],
)


@docs(summary="Add a job script")
@json_schema(JobScriptCreateSchema)
@response_schema(JobScriptSchema, 201)
async def create_job_script(request: web.Request) -> JobScript:
    """The caller becomes its owner. Anybody's application may be used, also an archived one."""
    body = request[BODY]
    owner = require_email(request)
    moment = now()
    return await JobScript.create(
        created_at=moment,
        updated_at=moment,
        job_script_name=body["job_script_name"],
        job_script_description=body["job_script_description"],
        job_script_owner_email=owner,
        application=await uploaded_application(body["application_id"]),
    )


@docs(summary="Get a job script")
@match_info_schema(JobScriptPathSchema)
@response_schema(JobScriptSchema)
async def get_job_script(request: web.Request) -> JobScript:
    """With the contents of its files; a job script without files cannot be read."""
    job_script_id = request[PATH]["job_script_id"]
    script = await find(JobScript, job_script_id, "application")
    if script is None:
        raise NotFound(f"JobScript with id={job_script_id} not found.")
    if script.job_script_files is None:
        raise NotFound(f"JobScript file not found for id={job_script_id}.")
    return script


@docs(summary="Change a job script")
@match_info_schema(JobScriptPathSchema)
@json_schema(JobScriptUpdateSchema)
@response_schema(JobScriptSchema)
async def update_job_script(request: web.Request) -> JobScript:
    """Only its owner may change a job script."""
    script = await own_job_script(request)
    changes = {name: value for name, value in request[BODY].items() if name in COLUMNS}
    script.update_from_dict({**changes, "updated_at": now()})
    await script.save()
    return script


@docs(summary="Delete a job script", responses={"204": {"description": "It is deleted."}})
@match_info_schema(JobScriptPathSchema)
async def delete_job_script(request: web.Request) -> None:
    """The job submissions that were made from it stay, without a job script."""
    await delete_row(await own_job_script(request))


async def own_job_script(request: web.Request) -> JobScript:
    """The job script of the path, locked, which must be the caller's."""
    job_script_id = request[PATH]["job_script_id"]
    script = await find(JobScript, job_script_id, "application", lock=True)
    if script is None:
        raise NotFound(f"Could not find job_scripts instance with id {job_script_id}")
    require_owner(request, "job_script", script.id, script.job_script_owner_email)
    return script


async def uploaded_application(application_id: int | None) -> Application | None:
    """The application to render from; None when none is asked for.

    Raises:
        NotFound: There is no such application.
        Unprocessable: It has no files.
    """
    if application_id is None:
        return None
    application = await find(Application, application_id)
    if application is None:
        raise NotFound(f"Application with id={application_id} not found.")
    if not application.application_uploaded:
        raise Unprocessable(f"Application with id={application_id} was not uploaded.")
    return application


ROUTES = [
    Route("GET", "", list_job_scripts, permission=VIEW),
    Route("POST", "", create_job_script, permission=EDIT, status=201),
    Route("GET", "/{job_script_id}", get_job_script, permission=VIEW),
    Route("PUT", "/{job_script_id}", update_job_script, permission=EDIT),
    Route("DELETE", "/{job_script_id}", delete_job_script, permission=EDIT, status=204),
]
