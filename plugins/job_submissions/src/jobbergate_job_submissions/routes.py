"""The routes of job submissions."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, response_schema
from tortoise.expressions import Q

from jobbergate_job_scripts.api import JobScript, find_main
from jobbergate_job_submissions import agents
from jobbergate_job_submissions.events import CREATED, DELETED, UPDATED, emit_event
from jobbergate_job_submissions.models import JobSubmission
from jobbergate_job_submissions.permissions import EDIT, VIEW
from jobbergate_job_submissions.sbatch import SbatchError, parse
from jobbergate_job_submissions.schemas import (
    JobSubmissionCreateSchema,
    JobSubmissionListParameters,
    JobSubmissionPathSchema,
    JobSubmissionSchema,
    JobSubmissionUpdateSchema,
)
from jobbergate_server import (
    BODY,
    FILES,
    IDENTITY,
    PATH,
    QUERY,
    BadRequest,
    ListQuery,
    NotFound,
    Route,
    Unprocessable,
    delete_row,
    fields,
    get_own_row,
    get_row,
    require_email,
    transaction_time,
)

PARAMETERS = web.RequestKey("parameters", dict[str, Any])


def listed(request: web.Request) -> Q:
    """Return the filter of a list: the caller's own submissions, unless the query widens or narrows it."""
    query = request[QUERY]
    rows = Q()
    if not query["all"]:
        rows &= Q(job_submission_owner_email=request[IDENTITY].email)
    if "submit_status" in query:
        rows &= Q(status=query["submit_status"])
    if query["slurm_job_ids"]:
        rows &= Q(slurm_job_id__in=slurm_job_ids(query["slurm_job_ids"]))
    if "from_job_script_id" in query:
        rows &= Q(job_script_id=query["from_job_script_id"])
    return rows


def slurm_job_ids(text: str) -> list[int]:
    """Parse a comma-separated list of job ids. Skip ids outside the range of the column.

    Raises:
        Unprocessable: A part is not an integer.
    """
    try:
        ids = [int(part) for part in text.split(",")]
    except ValueError:
        raise Unprocessable("Invalid slurm_job_ids param. Must be a comma-separated list of integers") from None
    return [job_id for job_id in ids if 0 <= job_id <= fields.INT4_MAX]


list_job_submissions = ListQuery(
    JobSubmission,
    JobSubmissionSchema,
    parameters=JobSubmissionListParameters,
    where=listed,
    search=["job_submission_name", "job_submission_description", "job_submission_owner_email", "client_id"],
    sort=[
        "id",
        "job_submission_name",
        "job_submission_owner_email",
        "job_script_id",
        "slurm_job_id",
        "client_id",
        "created_at",
        "updated_at",
        "status",
    ],
)


async def prepare_creation(request: web.Request) -> None:
    """Parse the execution parameters in the job script's main file."""
    require_email(request)
    submission_client_id(request)
    script = await used_script(request)
    main = await find_main(script.id)
    if main is None:
        raise unreadable("One and only one main file is expected for a job-script, found 0")
    text = await request.app[FILES].get_text(main.digest)
    try:
        # A script can be as large as an upload, and parsing it must not block the event loop.
        request[PARAMETERS] = await asyncio.to_thread(parse, text)
    except SbatchError as error:
        raise unreadable(str(error)) from None


def unreadable(reason: str) -> Unprocessable:
    """Return the error for a job script with invalid execution parameters."""
    return Unprocessable(f"Error extracting execution parameters from job script: {reason}")


@docs(
    summary="Add a job submission",
    responses={
        "400": {"description": "Neither the body nor the token contains a client id."},
        "404": {"description": "The job script does not exist."},
    },
)
@json_schema(JobSubmissionCreateSchema)
@response_schema(JobSubmissionSchema, 201)
async def create_job_submission(request: web.Request) -> JobSubmission:
    """Add a job submission that the caller owns. It may use the job script of any owner.

    The client id selects the cluster. Execution parameters in the request override those in the script.
    """
    body = request[BODY]
    moment = transaction_time()
    submission = await JobSubmission.create(
        created_at=moment,
        updated_at=moment,
        job_submission_name=body["job_submission_name"],
        job_submission_description=body["job_submission_description"],
        job_submission_owner_email=require_email(request),
        job_script=await used_script(request),
        execution_directory=body["execution_directory"],
        client_id=submission_client_id(request),
        execution_parameters=request[PARAMETERS] | body["execution_parameters"],
    )
    emit_event(CREATED, submission)
    return submission


def submission_client_id(request: web.Request) -> str:
    """Return the client id of the request's body, or that of its token.

    Raises:
        BadRequest: Neither contains a client id.
    """
    client_id = request[BODY]["client_id"] or request[IDENTITY].client_id
    if not client_id:
        raise BadRequest("Could not find a client_id in the request body or auth token.")
    return str(client_id)


async def used_script(request: web.Request) -> JobScript:
    """Return the job script of the request's body.

    Raises:
        NotFound: The job script does not exist.
    """
    job_script_id = request[BODY]["job_script_id"]
    script = await get_row(JobScript, job_script_id)
    if script is None:
        raise NotFound(f"Could not find job_scripts instance with id {job_script_id}")
    return script


@docs(summary="Get a job submission")
@match_info_schema(JobSubmissionPathSchema)
@response_schema(JobSubmissionSchema)
async def get_job_submission(request: web.Request) -> JobSubmission:
    """Return a job submission with all of its execution parameters."""
    job_submission_id = request[PATH]["job_submission_id"]
    submission = await get_row(JobSubmission, job_submission_id, "job_script")
    if submission is None:
        raise NotFound(f"JobSubmission with id={job_submission_id} not found.")
    return submission


@docs(summary="Change a job submission")
@match_info_schema(JobSubmissionPathSchema)
@json_schema(JobSubmissionUpdateSchema)
@response_schema(JobSubmissionSchema)
async def update_job_submission(request: web.Request) -> JobSubmission:
    """Change a job submission. Only its owner may do so."""
    submission = await own_job_submission(request)
    submission.update_from_dict(request[BODY] | {"updated_at": transaction_time()})
    await submission.save()
    emit_event(UPDATED, submission)
    return submission


@docs(summary="Delete a job submission", responses={"204": {"description": "The job submission is deleted."}})
@match_info_schema(JobSubmissionPathSchema)
async def delete_job_submission(request: web.Request) -> None:
    """Delete a job submission. A job that is already on the cluster continues."""
    submission = await own_job_submission(request)
    await delete_row(submission)
    emit_event(DELETED, submission)


async def own_job_submission(request: web.Request) -> JobSubmission:
    """Return the job submission of the path, locked. The caller must own it."""
    return await get_own_row(
        request, JobSubmission, "job_submission_id", "job_script", owner="job_submission_owner_email"
    )


ROUTES = [
    *agents.ROUTES,
    Route("GET", "", list_job_submissions, permission=VIEW),
    Route("POST", "", create_job_submission, permission=EDIT, prepare=prepare_creation, status=201, inserts=True),
    Route("GET", "/{job_submission_id}", get_job_submission, permission=VIEW),
    Route("PUT", "/{job_submission_id}", update_job_submission, permission=EDIT),
    Route("DELETE", "/{job_submission_id}", delete_job_submission, permission=EDIT, status=204),
]
