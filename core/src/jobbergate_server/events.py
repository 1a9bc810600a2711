"""Events: what a request has done, as plugins are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class EventType(NamedTuple):
    """A kind of event; the name is that of the thing and of the deed, such as `job_submission.rejected`."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done.

    ``name`` is that of an `EventType` which a plugin has registered. ``data`` is JSON and says what it was done to; its
    `owner_email` is the address of whom that belongs to.
    """

    name: str
    data: Mapping[str, Any]
