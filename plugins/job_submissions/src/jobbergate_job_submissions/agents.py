"""The routes of cluster agents. An agent acts for all submissions of its client id."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, response_schema

from jobbergate_job_scripts.api import Texts, read_many_files
from jobbergate_job_submissions.events import REJECTED, REPORTED, UPDATED, emit_event
from jobbergate_job_submissions.models import FINISHED, JobSubmission, Status
from jobbergate_job_submissions.permissions import EDIT, VIEW
from jobbergate_job_submissions.schemas import (
    ActiveSubmissionSchema,
    AgentUpdateSchema,
    JobSubmissionPathSchema,
    JobSubmissionSchema,
    PendingSubmissionSchema,
)
from jobbergate_server import (
    BODY,
    DATABASE,
    FILES,
    IDENTITY,
    PATH,
    BadRequest,
    Conflict,
    Files,
    NotFound,
    Route,
    get_row,
    stream_json,
    transaction_time,
)

log = structlog.get_logger()

BATCH = 20
"""Pending submissions that one query reads, with the texts of their files."""
READERS = 4
"""Agents that read pending submissions concurrently. Further agents wait, which bounds the memory."""
READING: web.AppKey[asyncio.Semaphore] = web.AppKey("reading", asyncio.Semaphore)
PENDING = PendingSubmissionSchema(many=True)
NO_SCRIPT = "The job script of this submission was deleted."
NO_MAIN_FILE = "The job script of this submission has no main file."


@docs(
    summary="List the submissions that a cluster must start",
    responses={"400": {"description": "The token has no client id."}},
)
@response_schema(PENDING)
async def list_pending(request: web.Request) -> web.StreamResponse:
    """Return the pending submissions of the token's client id, with the files of their job scripts.

    The server rejects a submission without a main file, and notifies its owner.
    """
    client_id = own_client_id(request, "fetch pending submissions")
    return await stream_json(request, pending(request, client_id))


async def pending(request: web.Request, client_id: str) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield the submissions that an agent must start, in batches and by id."""
    waiting = JobSubmission.filter(client_id=client_id, status=Status.CREATED)
    rows = waiting.select_related("job_script__application").order_by("id").limit(BATCH)
    last, is_full = 0, True

    async def read() -> list[dict[str, Any]]:
        nonlocal last, is_full
        async with request.app[READING]:
            batch = await rows.filter(id__gt=last)
            is_full = len(batch) == BATCH
            last = batch[-1].id if batch else last
            found: list[dict[str, Any]] = PENDING.dump(await startable(request, batch))
            return found

    while is_full:
        yield await read()  # no reference to the batch remains here while the agent reads it


async def startable(request: web.Request, submissions: Iterable[JobSubmission]) -> list[JobSubmission]:
    """Return the submissions that have a main file, with their files. Reject the remaining ones."""
    script_ids = {it.job_script_id for it in submissions if it.job_script_id is not None}
    texts = await read_each(request.app[FILES], script_ids)
    found = []
    for submission in submissions:
        script_id = submission.job_script_id
        if script_id is None or script_id not in texts:
            await reject(request, submission)
        elif (files := texts[script_id]) is not None:
            submission.job_script_files = files.wire
            found.append(submission)
    return found


async def read_each(files: Files, script_ids: Iterable[int]) -> Mapping[int, Texts | None]:
    """Read the files of the job scripts that have files. A job script with a lost file maps to None."""
    try:
        return await read_many_files(files, script_ids)
    except FileNotFoundError:
        texts: dict[int, Texts | None] = {}
        for script_id in script_ids:
            try:
                texts |= await read_many_files(files, [script_id])
            except FileNotFoundError:
                log.exception("file lost", job_script_id=script_id)
                texts[script_id] = None
        return texts


@docs(
    summary="List the active submissions of a cluster",
    responses={"400": {"description": "The token has no client id."}},
)
@response_schema(ActiveSubmissionSchema(many=True))
async def list_active(request: web.Request) -> list[JobSubmission]:
    """Return the submitted submissions of the token's client id that have a Slurm job id."""
    client_id = own_client_id(request, "fetch pending submissions")
    rows = JobSubmission.filter(client_id=client_id, status=Status.SUBMITTED, slurm_job_id__isnull=False)
    return await rows.order_by("id")


@docs(
    summary="Report the status of a submission",
    responses={"409": {"description": "The submission is finished, or another agent runs it."}},
)
@match_info_schema(JobSubmissionPathSchema)
@json_schema(AgentUpdateSchema)
@response_schema(JobSubmissionSchema)
async def report(request: web.Request) -> JobSubmission:
    """Update a submission from a report of its agent. Repeating a report changes nothing."""
    client_id = own_client_id(request, "update job_submission")
    submission = await locked(request[PATH]["job_submission_id"], client_id)
    body = request[BODY]
    changes: dict[str, object] = {"status": Status(body["new_status"])}
    if body["slurm_job_id"] is not None:
        changes["slurm_job_id"] = body["slurm_job_id"]
    if body["report_message"]:
        changes["report_message"] = body["report_message"]
    if all(getattr(submission, name) == value for name, value in changes.items()):
        return submission
    reject_conflict(submission, changes)
    before = submission.status
    submission.update_from_dict(changes | {"updated_at": transaction_time()})
    await submission.save()
    kind = UPDATED if submission.status is before else REPORTED.get(submission.status, UPDATED)
    emit_event(kind, submission, body["report_message"])
    return submission


def own_client_id(request: web.Request, doing: str) -> str:
    """Return the client id of the token, which selects the submissions of the caller's cluster.

    Raises:
        BadRequest: The token has no client id.
    """
    client_id = request[IDENTITY].client_id
    if not client_id:
        raise BadRequest(f"Access token does not contain a `client_id`. Cannot {doing}")
    return client_id


async def locked(submission_id: int, client_id: str) -> JobSubmission:
    """Return the submission of the client id, locked until the transaction ends.

    Raises:
        NotFound: The submission does not exist, or has another client id.
    """
    submission = await get_row(JobSubmission, submission_id, "job_script", lock=True)
    if submission is None or submission.client_id != client_id:
        raise NotFound(f"JobSubmission with id={submission_id} and client_id={client_id} not found.")
    return submission


def reject_conflict(submission: JobSubmission, changes: Mapping[str, object]) -> None:
    """Reject changes that contradict an earlier report.

    Raises:
        Conflict: The submission is finished, or runs as another job.
    """
    if submission.status in FINISHED:
        raise Conflict(
            f"JobSubmission with id={submission.id} is {submission.status} and cannot become {changes['status']}."
        )
    held, reported = submission.slurm_job_id, changes.get("slurm_job_id")
    # An agent may restart a submission that its owner has reset to CREATED.
    if submission.status is not Status.CREATED and None not in (held, reported) and held != reported:
        raise Conflict(f"JobSubmission with id={submission.id} runs as slurm_job_id={held}, not as {reported}.")


async def reject(request: web.Request, submission: JobSubmission) -> None:
    """Reject a submission without a main file, unless a concurrent request has changed its status."""
    message = NO_SCRIPT if submission.job_script_id is None else NO_MAIN_FILE
    async with request.app[DATABASE].transaction():
        changes = {"status": Status.REJECTED, "report_message": message, "updated_at": transaction_time()}
        if await JobSubmission.filter(id=submission.id, status=Status.CREATED).update(**changes):
            submission.update_from_dict(changes)
            emit_event(REJECTED, submission, message)


ROUTES = [
    Route("GET", "/agent/pending", list_pending, permission=VIEW),
    Route("GET", "/agent/active", list_active, permission=VIEW),
    Route("PUT", "/agent/{job_submission_id}", report, permission=EDIT),
]
