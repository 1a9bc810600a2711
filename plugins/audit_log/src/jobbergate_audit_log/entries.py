"""What is written down of an event."""

from typing import Any

from jobbergate_audit_log.models import AuditEntry
from jobbergate_server import Event, Journal, caller, now


def entry(event: Event) -> dict[str, Any]:
    """The columns of the entry; nobody has sent what a command does."""
    identity = caller()
    return {
        "created_at": now(),
        "event": event.name,
        "subject": identity and identity.subject,
        "email": identity and identity.email,
        "client_id": identity and identity.client_id,
        "data": {name: value for name, value in event.data.items() if name != "id"},
    }


ENTRIES = Journal(AuditEntry, "resource_id", entry)
