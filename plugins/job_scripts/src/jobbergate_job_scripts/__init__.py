"""Job scripts: scripts for clusters, rendered from applications or uploaded."""

from collections.abc import Sequence

from jobbergate_job_scripts import events, routes, samples
from jobbergate_job_scripts.permissions import EDIT, VIEW
from jobbergate_server import EventType, Files, Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """Return the models of the tables `job_scripts` and `job_script_files`."""
    return Models("jobbergate_job_scripts.models", migrations="jobbergate_job_scripts.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """Return the permissions to read job scripts and to change one's own."""
    return [VIEW, EDIT]


@hookimpl
def register_events() -> Sequence[EventType]:
    """Return the events of job scripts."""
    return events.EVENTS


@hookimpl
def register_routes() -> Sequence[Route]:
    """Return the routes of the wire contract's section on job scripts."""
    return routes.ROUTES


@hookimpl
async def add_samples(owner: str, files: Files) -> None:
    """Add a sample job script."""
    await samples.add_job_script(owner, files)
