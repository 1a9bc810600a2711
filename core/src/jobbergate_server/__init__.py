"""The REST API of Jobbergate: a small aiohttp core, and a plugin for each resource.

Authors of plugins import from here. A name is loaded when it is first used, so that the command line starts fast.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("jobbergate-server")
"""The version of the server."""

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
