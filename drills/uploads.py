"""Uploads of clients: files with a mark that identifies them."""

from aiohttp import FormData

from benchmarks.data import APPLICATION_FILES

APPLICATIONS = "/jobbergate/applications"
SCRIPTS = "/jobbergate/job-scripts"
SUBMISSIONS = "/jobbergate/job-submissions"
PLAIN = "text/plain"


def application_form(mark: str, addition: str = "") -> FormData:
    """Return a form with all files of an application, with an ``addition`` to each template."""
    form = FormData()
    for kind, name, text in APPLICATION_FILES:
        content = f"{text}# {mark}\n{addition if kind == 'template' else ''}".encode()
        form.add_field("upload_files", content, filename=name, content_type=PLAIN)
    return form


def script_text(mark: str) -> str:
    """Return the text of a job script."""
    return f"#!/bin/bash\n#SBATCH --ntasks=4\n# {mark}\nsrun solver\n"


def script_form(mark: str) -> FormData:
    """Return a form with the file of a job script."""
    form = FormData()
    form.add_field("job_script_file", script_text(mark).encode(), filename="job.sh", content_type=PLAIN)
    return form
