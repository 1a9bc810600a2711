"""The routes of job submissions."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, response_schema
from tortoise.expressions import Q

from jobbergate_job_scripts.api import JobScript, find_main
from jobbergate_job_submissions import agents
from jobbergate_job_submissions.events import CREATED, DELETED, UPDATED, tell
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
    """The submissions that a list shows: the caller's own, unless it asks for all, that match the filters."""
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
    """The job ids of a list with commas between; those that no job can have are left out.

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
    """Read the execution parameters that the job script's main file sets."""
    require_email(request)
    submission_client_id(request)
    script = await used_script(request)
    main = await find_main(script.id)
    if main is None:
        raise unreadable("One and only one main file is expected for a job-script, found 0")
    text = await request.app[FILES].get_text(main.digest)
    try:
        # A script may be as large as an upload, and reading it must not hold up others.
        request[PARAMETERS] = await asyncio.to_thread(parse, text)
    except SbatchError as error:
        raise unreadable(str(error)) from None


def unreadable(reason: str) -> Unprocessable:
    """The error of a job script whose execution parameters cannot be read."""
    return Unprocessable(f"Error extracting execution parameters from job script: {reason}")


@docs(
    summary="Add a job submission",
    responses={
        "400": {"description": "Neither body nor token have a client id."},
        "404": {"description": "There is no such job script."},
    },
)
@json_schema(JobSubmissionCreateSchema)
@response_schema(JobSubmissionSchema, 201)
async def create_job_submission(request: web.Request) -> JobSubmission:
    """The caller becomes its owner. Anybody's job script may be used; the cluster is that of the client id.

    Execution parameters that are sent win over those that the script sets.
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
    tell(CREATED, submission)
    return submission


def submission_client_id(request: web.Request) -> str:
    """The client id that the request names, or that of its token.

    Raises:
        BadRequest: There is neither.
    """
    client_id = request[BODY]["client_id"] or request[IDENTITY].client_id
    if not client_id:
        raise BadRequest("Could not find a client_id in the request body or auth token.")
    return str(client_id)


async def used_script(request: web.Request) -> JobScript:
    """The job script that the request names.

    Raises:
        NotFound: There is none.
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
    """With all of its execution parameters."""
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
    """Only its owner may change a job submission."""
    submission = await own_job_submission(request)
    submission.update_from_dict(request[BODY] | {"updated_at": transaction_time()})
    await submission.save()
    tell(UPDATED, submission)
    return submission


@docs(summary="Delete a job submission", responses={"204": {"description": "It is deleted."}})
@match_info_schema(JobSubmissionPathSchema)
async def delete_job_submission(request: web.Request) -> None:
    """A job that runs on the cluster already goes on."""
    submission = await own_job_submission(request)
    await delete_row(submission)
    tell(DELETED, submission)


async def own_job_submission(request: web.Request) -> JobSubmission:
    """The job submission of the path, locked, which must be the caller's."""
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
