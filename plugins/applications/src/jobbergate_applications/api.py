"""The interface of applications for other plugins."""

from jobbergate_applications.models import Application
from jobbergate_applications.paths import confined_path
from jobbergate_applications.rendering import render
from jobbergate_applications.sandbox import SANDBOX, Sandbox
from jobbergate_applications.storage import Contents, read_files

__all__ = ["SANDBOX", "Application", "Contents", "Sandbox", "confined_path", "read_files", "render"]
