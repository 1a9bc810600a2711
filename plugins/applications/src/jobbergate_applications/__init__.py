"""Applications: templates that users render into job scripts."""

from collections.abc import Sequence

from jobbergate_applications import routes, samples
from jobbergate_applications.permissions import EDIT, VIEW
from jobbergate_server import Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """The table `applications`."""
    return Models("jobbergate_applications.models", migrations="jobbergate_applications.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """To see applications, and to change one's own."""
    return [VIEW, EDIT]


@hookimpl
def register_routes() -> Sequence[Route]:
    """The routes of the wire contract's section on applications."""
    return routes.ROUTES


@hookimpl
async def add_samples(owner: str) -> None:
    """An application for a first look."""
    await samples.add_application(owner)
