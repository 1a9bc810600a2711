"""Events: committed changes that plugins emit and react to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class EventType(NamedTuple):
    """A kind of event, named by its subject and its verb, such as `job_submission.rejected`."""

    name: str
    description: str


class Origin(NamedTuple):
    """The cause of an event: the claims of the caller's token, and the id of the request."""

    subject: str | None = None
    email: str | None = None
    client_id: str | None = None
    request_id: str | None = None


NO_ORIGIN = Origin()
"""The origin of events of a command or a task of the server."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change that a plugin emits.

    ``name`` is the name of an `EventType` that a plugin registers. ``data`` is a JSON object: `id` identifies the
    subject, `owner_email` names its owner, and `client_id` its cluster. The commit adds the other fields. ``id`` is the
    key of the row in the table `events`, and ``created_at`` the time of the transaction. ``origin`` is the caller; for
    a command, all its fields are None.
    """

    name: str
    data: Mapping[str, Any]
    id: int = 0
    created_at: datetime | None = None
    origin: Origin = NO_ORIGIN
