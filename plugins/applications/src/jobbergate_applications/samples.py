"""A sample application for a new server."""

from jobbergate_applications.models import Application, Kind
from jobbergate_applications.storage import replace_files, store
from jobbergate_applications.uploads import CONFIG, SOURCE, Draft
from jobbergate_server import Files, transaction_time

FILES = [
    Draft(Kind.SOURCE, SOURCE, "class JobbergateApplication:\n    pass\n"),
    Draft(
        Kind.CONFIG,
        CONFIG,
        "application_config:\n  job_name: hello\n  tasks: 1\n"
        "jobbergate_config:\n  default_template: hello.sh.j2\n  output_directory: .\n",
    ),
    Draft(
        Kind.TEMPLATE,
        "hello.sh.j2",
        "#!/bin/bash\n#SBATCH --job-name={{ data.job_name }}\n#SBATCH --ntasks={{ data.tasks }}\nhostname\n",
    ),
]


async def add_application(owner: str, files: Files) -> None:
    """Add one application of ``owner``, unless the table contains applications."""
    if await Application.exists():
        return
    moment = transaction_time()
    application = await Application.create(
        created_at=moment,
        updated_at=moment,
        application_name="Hello cluster",
        application_identifier="hello-cluster",
        application_description="Prints the name of the node that it runs on.",
        application_owner_email=owner,
        application_uploaded=True,
    )
    await replace_files(application, await store(files, FILES))
