"""The events of applications."""

from jobbergate_applications.models import Application
from jobbergate_server import Event, EventType, emit

CREATED = EventType("application.created", "A caller has added an application.")
UPDATED = EventType("application.updated", "The owner has changed an application or its files.")
DELETED = EventType("application.deleted", "The owner has deleted an application.")

EVENTS = [CREATED, UPDATED, DELETED]


def emit_event(kind: EventType, application: Application) -> None:
    """Emit an event about the application."""
    data = {
        "id": application.id,
        "owner_email": application.application_owner_email,
        "application_name": application.application_name,
        "application_identifier": application.application_identifier,
    }
    emit(Event(kind.name, data))
