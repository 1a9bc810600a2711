"""The events of job scripts."""

from jobbergate_job_scripts.models import JobScript
from jobbergate_server import Event, EventType, emit

CREATED = EventType("job_script.created", "A caller has added a job script.")
UPDATED = EventType("job_script.updated", "The owner has changed a job script or its files.")
DELETED = EventType("job_script.deleted", "The owner has deleted a job script.")

EVENTS = [CREATED, UPDATED, DELETED]


def emit_event(kind: EventType, script: JobScript) -> None:
    """Emit an event about the job script, with the values at the end of the transaction."""

    def event() -> Event:
        data = {
            "id": script.id,
            "owner_email": script.job_script_owner_email,
            "job_script_name": script.job_script_name,
            "application_id": script.application_id,
        }
        return Event(kind.name, data)

    emit(event)
