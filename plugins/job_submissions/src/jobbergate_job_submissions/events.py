"""What plugins are told of job submissions."""

from jobbergate_job_submissions.models import JobSubmission, Status
from jobbergate_server import Event, EventType, emit

CREATED = EventType("job_submission.created", "Somebody has added a job submission.")
UPDATED = EventType(
    "job_submission.updated", "The owner of a job submission has changed it, or its cluster has reported more of it."
)
DELETED = EventType("job_submission.deleted", "The owner of a job submission has deleted it.")
SUBMITTED = EventType("job_submission.submitted", "A cluster has handed a job submission to Slurm.")
COMPLETED = EventType("job_submission.completed", "The job of a job submission has ended well.")
FAILED = EventType("job_submission.failed", "The job of a job submission has failed.")
UNKNOWN = EventType("job_submission.unknown", "A cluster does not know what has become of a job submission.")
REJECTED = EventType("job_submission.rejected", "A job submission could not be handed to Slurm.")

REPORTED = {
    Status.SUBMITTED: SUBMITTED,
    Status.COMPLETED: COMPLETED,
    Status.FAILED: FAILED,
    Status.UNKNOWN: UNKNOWN,
    Status.REJECTED: REJECTED,
}
"""What it is called when a submission has come into a status on its cluster."""
EVENTS = [CREATED, UPDATED, DELETED, *REPORTED.values()]


def tell(kind: EventType, submission: JobSubmission, report_message: str | None = None) -> None:
    """Tell what was done to the submission, with what the cluster says of that."""
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
