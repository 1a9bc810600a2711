"""What every plugin promises, of the plugin job-scripts."""

from jobbergate_devkit.testing import conformance

TestConformance = conformance("job-scripts")
