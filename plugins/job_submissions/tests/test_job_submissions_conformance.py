"""What every plugin promises, of the plugin job-submissions."""

from jobbergate_devkit.testing import conformance

TestConformance = conformance("job-submissions")
