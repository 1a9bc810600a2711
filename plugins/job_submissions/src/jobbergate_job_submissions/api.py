"""What other plugins may use of job submissions."""

from jobbergate_job_submissions.events import REJECTED

__all__ = ["REJECTED"]
