"""The interface of job submissions for other plugins."""

from jobbergate_job_submissions.events import REJECTED

__all__ = ["REJECTED"]
