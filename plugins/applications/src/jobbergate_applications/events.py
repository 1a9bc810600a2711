"""What plugins are told of applications."""

from jobbergate_applications.models import Application
from jobbergate_server import Event, EventType, emit

CREATED = EventType("application.created", "Somebody has added an application.")
UPDATED = EventType("application.updated", "The owner of an application has changed it, or its files.")
DELETED = EventType("application.deleted", "The owner of an application has deleted it.")

EVENTS = [CREATED, UPDATED, DELETED]


def tell(kind: EventType, application: Application) -> None:
    """Tell what was done to the application."""
    data = {
        "id": application.id,
        "owner_email": application.application_owner_email,
        "application_name": application.application_name,
        "application_identifier": application.application_identifier,
    }
    emit(Event(kind.name, data))
