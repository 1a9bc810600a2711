"""The test kit: fixtures, and tests of what every plugin promises.

The fixtures are installed as a plugin of pytest. ``TestConformance = conformance("licences")`` tests every route of the
plugin `licences`.
"""

from jobbergate_devkit.testing.conformance import conformance
from jobbergate_devkit.testing.served import Client, MakeApp, Served

__all__ = ["Client", "MakeApp", "Served", "conformance"]
