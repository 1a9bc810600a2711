"""What every plugin promises, of the plugin applications."""

from jobbergate_devkit.testing import conformance

TestConformance = conformance("applications")
