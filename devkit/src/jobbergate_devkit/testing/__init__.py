"""The test kit: fixtures, and conformance tests for plugins.

The fixtures are installed as a pytest plugin. ``TestConformance = conformance("licences")`` tests every route of the
plugin `licences`.
"""

from jobbergate_devkit.testing.conformance import conformance
from jobbergate_devkit.testing.served import Client, MakeApp, Served

__all__ = ["Client", "MakeApp", "Served", "conformance"]
