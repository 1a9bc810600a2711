"""What every plugin promises, of the plugin audit-log."""

from jobbergate_server.testing import conformance

TestConformance = conformance("audit-log")
