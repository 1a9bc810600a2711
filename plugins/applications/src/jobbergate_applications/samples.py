"""A sample for a first look at a fresh server."""

from jobbergate_applications.models import Application
from jobbergate_server import now


async def add_application(owner: str) -> None:
    """Add one application of ``owner``, unless there are applications already."""
    if await Application.exists():
        return
    moment = now()
    await Application.create(
        created_at=moment,
        updated_at=moment,
        application_name="Hello cluster",
        application_identifier="hello-cluster",
        application_description="Prints the name of the node that it runs on.",
        application_owner_email=owner,
    )
