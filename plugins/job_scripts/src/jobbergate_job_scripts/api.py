"""The interface of job scripts for other plugins."""

from jobbergate_job_scripts.models import JobScript
from jobbergate_job_scripts.schemas import JobScriptFilesSchema
from jobbergate_job_scripts.storage import Texts, find_main, read_many_files

__all__ = ["JobScript", "JobScriptFilesSchema", "Texts", "find_main", "read_many_files"]
