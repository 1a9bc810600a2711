"""Arguments of hooks, and descriptions that hooks return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from aiohttp import web
from typing_extensions import TypeVar

from jobbergate_server.settings import Section


@dataclass(frozen=True, slots=True)
class HandledRequest:
    """A request and the status of its response.

    ``route`` is the path of its route with the names of parameters, such as `/jobbergate/job-scripts/{job_script_id}`.
    ``plugin`` is the slug of the route's plugin. Both are None if no route matches. ``seconds`` is the time from the
    request's head to the response.
    """

    method: str
    route: str | None
    plugin: str | None
    status: int
    seconds: float


Value = TypeVar("Value")
Configured = TypeVar("Configured", bound=Section, default=Section)
Statistics = Callable[[], Mapping[str, float]]
"""The argument `statistics` of the hook `lifespan`: a function that returns numbers by name."""


@dataclass(frozen=True, slots=True)
class Models:
    """The Tortoise models of a plugin: the names of their module and of the package of their migrations."""

    module: str
    migrations: str


class PluginContext(Generic[Configured]):
    """A plugin's slug, and its settings in the model that it registered.

    ``context[KEY]`` is the value that the plugin's `lifespan` yielded under the `AppKey`, like ``request.app[KEY]``. In
    a command, no lifespan runs, and `get` returns None.
    """

    def __init__(self, slug: str, settings: Configured) -> None:
        self.slug = slug
        self.settings = settings
        self._app: web.Application | None = None

    def serve(self, app: web.Application) -> None:
        """Read values from ``app`` from now on; the server calls this after the plugin's lifespan has started."""
        self._app = app

    def __getitem__(self, key: web.AppKey[Value]) -> Value:
        if self._app is None:
            raise KeyError(key)
        return self._app[key]

    def get(self, key: web.AppKey[Value]) -> Value | None:
        """Return the value that the plugin's `lifespan` yielded under ``key``; None outside a server."""
        return None if self._app is None else self._app.get(key)
