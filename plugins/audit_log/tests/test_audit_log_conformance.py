"""What every plugin promises, of the plugin audit-log."""

from jobbergate_devkit.testing import conformance

TestConformance = conformance("audit-log")
