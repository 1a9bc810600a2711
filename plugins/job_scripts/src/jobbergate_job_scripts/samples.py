"""A sample job script for a new server."""

from jobbergate_applications.api import Application
from jobbergate_job_scripts.models import JobScript
from jobbergate_job_scripts.storage import Texts, add_files, store
from jobbergate_server import Files, transaction_time

PATH = "hello.sh"
TEXT = "#!/bin/bash\n#SBATCH --job-name=hello\n#SBATCH --ntasks=1\nhostname\n"


async def add_job_script(owner: str, files: Files) -> None:
    """Add one job script of ``owner``, from an application of that owner, unless the table contains job scripts."""
    if await JobScript.exists():
        return
    moment = transaction_time()
    script = await JobScript.create(
        created_at=moment,
        updated_at=moment,
        job_script_name="Hello cluster",
        job_script_description="Prints the name of the node that it runs on.",
        job_script_owner_email=owner,
        application=await Application.filter(application_owner_email=owner).order_by("id").first(),
    )
    await add_files(script, await store(files, Texts(PATH, {PATH: TEXT})))
