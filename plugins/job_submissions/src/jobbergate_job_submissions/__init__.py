"""Job submissions: job scripts that users send to clusters."""

from collections.abc import Sequence

from jobbergate_job_submissions import events, routes
from jobbergate_job_submissions.permissions import EDIT, VIEW
from jobbergate_server import EventType, Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """The table `job_submissions`."""
    return Models("jobbergate_job_submissions.models", migrations="jobbergate_job_submissions.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """To see job submissions, and to change one's own."""
    return [VIEW, EDIT]


@hookimpl
def register_events() -> Sequence[EventType]:
    """What happens to job submissions, also on their clusters."""
    return events.EVENTS


@hookimpl
def register_routes() -> Sequence[Route]:
    """The routes of the wire contract's section on job submissions."""
    return routes.ROUTES
