"""What plugins are told of job scripts."""

from jobbergate_job_scripts.models import JobScript
from jobbergate_server import Event, EventType, emit

CREATED = EventType("job_script.created", "Somebody has added a job script.")
UPDATED = EventType("job_script.updated", "The owner of a job script has changed it, or its files.")
DELETED = EventType("job_script.deleted", "The owner of a job script has deleted it.")

EVENTS = [CREATED, UPDATED, DELETED]


def tell(kind: EventType, script: JobScript) -> None:
    """Tell what was done to the job script, as it is in the end."""

    def event() -> Event:
        data = {
            "id": script.id,
            "owner_email": script.job_script_owner_email,
            "job_script_name": script.job_script_name,
            "application_id": script.application_id,
        }
        return Event(kind.name, data)

    emit(event)
