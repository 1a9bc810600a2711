"""What every plugin promises, of the plugin webhooks."""

from jobbergate_devkit.testing import conformance

TestConformance = conformance("webhooks")
