"""What every plugin promises, of the plugin webhooks."""

from jobbergate_server.testing import conformance

TestConformance = conformance("webhooks")
