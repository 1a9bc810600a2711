"""The routes of job scripts."""

from pathlib import PurePosixPath
from typing import cast
from urllib.parse import quote

from aiohttp import web
from aiohttp_apispec import docs, form_schema, json_schema, match_info_schema, response_schema
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from jobbergate_applications.api import SANDBOX, Application, confined_path
from jobbergate_applications.api import read_files as read_application_files
from jobbergate_job_scripts.events import CREATED, DELETED, UPDATED, emit_event
from jobbergate_job_scripts.models import JobScript, JobScriptFile
from jobbergate_job_scripts.permissions import EDIT, VIEW
from jobbergate_job_scripts.rendering import render_script
from jobbergate_job_scripts.schemas import (
    JobScriptCreateSchema,
    JobScriptListParameters,
    JobScriptPathSchema,
    JobScriptSchema,
    JobScriptUpdateSchema,
    JobScriptUploadSchema,
    MessageSchema,
)
from jobbergate_job_scripts.storage import STORED, Stored, Texts, add_files, find_main, read_files, replace_files, store
from jobbergate_server import (
    BODY,
    FILES,
    FORM,
    IDENTITY,
    PATH,
    QUERY,
    ListQuery,
    NotFound,
    Route,
    Unprocessable,
    Upload,
    delete_row,
    get_own_row,
    get_row,
    require_email,
    transaction_time,
)

APPLICATION: web.RequestKey[Application | None] = web.RequestKey("application", Application)
COLUMNS = ("job_script_name", "job_script_description", "is_archived")


def listed(request: web.Request) -> Q:
    """Return the filter of a list: the caller's own job scripts that are not archived, unless the query widens it."""
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


async def prepare_creation(request: web.Request) -> None:
    """Render the application of a new job script, if any, and store the files."""
    require_email(request)
    body = request[BODY]
    request[APPLICATION] = application = await uploaded_application(body["application_id"])
    request[STORED] = None
    if application is not None:
        files = request.app[FILES]
        contents = await read_application_files(files, application)
        params = body["sbatch_params"] or ()
        texts = await render_script(request.app[SANDBOX], contents, body["param_dict"] or {}, params)
        request[STORED] = await store(files, texts)


@docs(summary="Add a job script", responses={"404": {"description": "The application does not exist."}})
@json_schema(JobScriptCreateSchema)
@response_schema(JobScriptSchema, 201)
async def create_job_script(request: web.Request) -> JobScript:
    """Add a job script that the caller owns. It may use the application of any owner, also an archived one."""
    body = request[BODY]
    moment = transaction_time()
    script = JobScript(
        created_at=moment,
        updated_at=moment,
        job_script_name=body["job_script_name"],
        job_script_description=body["job_script_description"],
        job_script_owner_email=require_email(request),
        application=request[APPLICATION],
    )
    emit_event(CREATED, script)
    stored = request[STORED]
    if stored is not None:
        try:
            await script.save()
        except IntegrityError:  # the application was deleted during the rendering
            raise no_application(body["application_id"]) from None
        await add_files(script, stored)
        script.job_script_files = stored.texts.wire
    return script


@docs(summary="Get a job script")
@match_info_schema(JobScriptPathSchema)
@response_schema(JobScriptSchema)
async def get_job_script(request: web.Request) -> JobScript:
    """Return a job script with the contents of its files. Without files, the response is 404."""
    job_script_id = request[PATH]["job_script_id"]
    script = await get_row(JobScript, job_script_id, "application")
    if script is None:
        raise NotFound(f"JobScript with id={job_script_id} not found.")
    texts = await read_files(request.app[FILES], job_script_id)
    if texts is None:
        raise NotFound(f"JobScript file not found for id={job_script_id}.")
    script.job_script_files = texts.wire
    return script


async def prepare_update(request: web.Request) -> None:
    """Store the files in the changes of a job script, if any."""
    request[STORED] = None
    if sent := request[BODY].get("job_script_files"):
        await own_job_script(request, lock=False)  # only an owner's files are stored
        request[STORED] = await store(request.app[FILES], Texts(sent["main_file_path"], sent["files"]))


@docs(summary="Change a job script")
@match_info_schema(JobScriptPathSchema)
@json_schema(JobScriptUpdateSchema)
@response_schema(JobScriptSchema)
async def update_job_script(request: web.Request) -> JobScript:
    """Change a job script. Only its owner may do so."""
    script = await own_job_script(request)
    changes = {name: value for name, value in request[BODY].items() if name in COLUMNS}
    script.update_from_dict({**changes, "updated_at": transaction_time()})
    await script.save()
    emit_event(UPDATED, script)
    stored = request[STORED]
    if stored is not None:
        await replace_files(script, stored)
        script.job_script_files = stored.texts.wire
        return script
    texts = await read_files(request.app[FILES], script.id)
    if texts is None:
        raise NotFound(f"File for JobScript with id={script.id} not found in S3.")
    script.job_script_files = texts.wire
    return script


@docs(summary="Delete a job script", responses={"204": {"description": "The job script is deleted."}})
@match_info_schema(JobScriptPathSchema)
async def delete_job_script(request: web.Request) -> None:
    """Delete a job script. Its job submissions remain, without a job script."""
    script = await own_job_script(request)
    await delete_row(script)
    emit_event(DELETED, script)


async def prepare_upload(request: web.Request) -> None:
    """Store the file that replaces all files of a job script."""
    await own_job_script(request, lock=False)
    upload = request[FORM]["job_script_file"]
    try:
        path = confined_path(upload.name)
    except ValueError as error:
        raise Unprocessable(f"The uploaded file is invalid -- {error}") from None
    request[STORED] = await store(request.app[FILES], Texts(path, {path: text_of(upload)}))


@docs(summary="Upload the file of a job script")
@match_info_schema(JobScriptPathSchema)
@form_schema(JobScriptUploadSchema)
@response_schema(MessageSchema)
async def upload_job_script(request: web.Request) -> dict[str, str]:
    """Replace all files of a job script. The uploaded file becomes the main file, under its own name."""
    script = await own_job_script(request)
    stored = cast("Stored", request[STORED])
    await replace_files(script, stored)
    await touch(script)
    name = request[FORM]["job_script_file"].name
    return {"message": f"Successfully uploaded {name} for job_script_id={script.id}"}


async def prepare_main_upload(request: web.Request) -> None:
    """Store the new text of the main file."""
    script = await own_job_script(request, lock=False)
    main = await own_main(script.id)
    texts = Texts(main.path, {main.path: text_of(request[FORM]["job_script_file"])})
    request[STORED] = await store(request.app[FILES], texts)


@docs(summary="Replace the main file of a job script", responses={"204": {"description": "The main file is replaced."}})
@match_info_schema(JobScriptPathSchema)
@form_schema(JobScriptUploadSchema)
async def replace_main_file(request: web.Request) -> None:
    """Replace the text of the main file. Its path and the supporting files remain unchanged."""
    script = await own_job_script(request)
    main = await own_main(script.id)
    stored = cast("Stored", request[STORED])
    (main.digest,) = stored.digests.values()
    await main.save()
    await touch(script)


@docs(
    summary="Download the main file of a job script",
    responses={
        "200": {"description": "The text of the file.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
)
@match_info_schema(JobScriptPathSchema)
async def download_job_script(request: web.Request) -> web.Response:
    """Return the text of the main file. The header `filename` contains its path."""
    job_script_id = request[PATH]["job_script_id"]
    if await get_row(JobScript, job_script_id) is None:
        raise NotFound(f"Could not find job_scripts instance with id {job_script_id}")
    main = await own_main(job_script_id)
    headers = {
        "Filename": header_value(main.path),
        "Content-Disposition": attachment(PurePosixPath(main.path).name),
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(
        body=await request.app[FILES].get(main.digest), content_type="text/plain", charset="utf-8", headers=headers
    )


async def own_main(script_id: int) -> JobScriptFile:
    """Return the main file of a job script.

    Raises:
        NotFound: The job script has no main file.
    """
    main = await find_main(script_id)
    if main is None:
        raise NotFound(f"Main file from job_script_id={script_id} was not found.")
    return main


async def touch(script: JobScript) -> None:
    """Set `updated_at` of the job script, and emit the event of a change."""
    script.updated_at = transaction_time()
    await script.save()
    emit_event(UPDATED, script)


def text_of(upload: Upload) -> str:
    """Decode the text of an uploaded file.

    Raises:
        Unprocessable: The content is not UTF-8.
    """
    try:
        return upload.content.decode()
    except UnicodeDecodeError as error:
        reason = f"{upload.name} is not UTF-8: {error.reason} at byte {error.start}"
        raise Unprocessable(f"The uploaded file is invalid -- {reason}") from None


def header_value(path: str) -> str:
    """Return the path for a header: unchanged if it is Latin-1, percent-encoded UTF-8 otherwise."""
    try:
        path.encode("latin-1")
    except UnicodeEncodeError:
        return quote(path)
    return path


def attachment(name: str) -> str:
    """Return the header Content-Disposition for a download under ``name`` (RFC 6266)."""
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'attachment; filename="{quoted}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


async def own_job_script(request: web.Request, *, lock: bool = True) -> JobScript:
    """Return the job script of the path, which the caller must own."""
    return await get_own_row(
        request, JobScript, "job_script_id", "application", owner="job_script_owner_email", lock=lock
    )


async def uploaded_application(application_id: int | None) -> Application | None:
    """Return the application to render; None for a job script without application.

    Raises:
        NotFound: The application does not exist.
        Unprocessable: The application has no files.
    """
    if application_id is None:
        return None
    application = await get_row(Application, application_id)
    if application is None:
        raise no_application(application_id)
    if not application.application_uploaded:
        raise Unprocessable(f"Application with id={application_id} was not uploaded.")
    return application


def no_application(application_id: int) -> NotFound:
    """Return the error for an application that does not exist."""
    return NotFound(f"Application with id={application_id} not found.")


ROUTES = [
    Route("GET", "", list_job_scripts, permission=VIEW),
    Route("POST", "", create_job_script, permission=EDIT, prepare=prepare_creation, status=201, inserts=True),
    Route("GET", "/{job_script_id}", get_job_script, permission=VIEW),
    Route("PUT", "/{job_script_id}", update_job_script, permission=EDIT, prepare=prepare_update),
    Route("DELETE", "/{job_script_id}", delete_job_script, permission=EDIT, status=204),
    Route("POST", "/{job_script_id}/upload", upload_job_script, permission=EDIT, prepare=prepare_upload),
    Route(
        "PATCH", "/{job_script_id}/upload", replace_main_file, permission=EDIT, prepare=prepare_main_upload, status=204
    ),
    Route("GET", "/{job_script_id}/download", download_job_script, permission=VIEW),
]
