"""What every plugin promises, of the plugin job-submissions."""

from jobbergate_server.testing import conformance

TestConformance = conformance("job-submissions")
