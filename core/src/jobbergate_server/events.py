"""Events: what a request has done, as plugins are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done; ``name`` is that of the thing and of the deed, such as `job_submission.rejected`."""

    name: str
    data: Mapping[str, Any]
