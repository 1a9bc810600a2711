"""The events of job submissions."""

from jobbergate_job_submissions.models import JobSubmission, Status
from jobbergate_server import Event, EventType, emit

CREATED = EventType("job_submission.created", "A caller has added a job submission.")
UPDATED = EventType("job_submission.updated", "The owner has changed a job submission, or its cluster has updated it.")
DELETED = EventType("job_submission.deleted", "The owner has deleted a job submission.")
SUBMITTED = EventType("job_submission.submitted", "A cluster has submitted a job submission to Slurm.")
COMPLETED = EventType("job_submission.completed", "The job of a job submission has completed.")
FAILED = EventType("job_submission.failed", "The job of a job submission has failed.")
UNKNOWN = EventType("job_submission.unknown", "A cluster does not know the state of a job submission.")
REJECTED = EventType("job_submission.rejected", "The server or a cluster has rejected a job submission.")

REPORTED = {
    Status.SUBMITTED: SUBMITTED,
    Status.COMPLETED: COMPLETED,
    Status.FAILED: FAILED,
    Status.UNKNOWN: UNKNOWN,
    Status.REJECTED: REJECTED,
}
"""The event types by the status that a cluster reports."""
EVENTS = [CREATED, UPDATED, DELETED, *REPORTED.values()]


def emit_event(kind: EventType, submission: JobSubmission, report_message: str | None = None) -> None:
    """Emit an event about the submission, with the report message of its cluster."""
    data = {
        "id": submission.id,
        "owner_email": submission.job_submission_owner_email,
        "job_submission_name": submission.job_submission_name,
        "job_script_id": submission.job_script_id,
        "client_id": submission.client_id,
        "status": submission.status,
        "slurm_job_id": submission.slurm_job_id,
        "report_message": report_message,
    }
    emit(Event(kind.name, data))
