"""What every plugin promises, of the plugin applications."""

from jobbergate_server.testing import conformance

TestConformance = conformance("applications")
