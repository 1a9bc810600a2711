"""What plugins are handed, and the descriptions that they return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from aiohttp import web
from typing_extensions import TypeVar

from jobbergate_server.settings import Section


@dataclass(frozen=True, slots=True)
class HandledRequest:
    """A request that was answered.

    ``route`` is the path of its route with names for its parameters, such as `/jobbergate/job-scripts/{job_script_id}`,
    and ``plugin`` the slug of the plugin that brings it; both are None when there is no such route. ``seconds`` is the
    time from the request's head to the answer.
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
    """Tortoise models of a plugin: the module that defines them, and the package of their migrations, by name."""

    module: str
    migrations: str


class PluginContext(Generic[Configured]):
    """What a plugin knows of itself: its slug, and its settings as the model that it registered.

    ``context[KEY]`` is what the plugin's `lifespan` yielded under the `AppKey`, as ``request.app[KEY]`` is. A command
    has none, for which `get` returns None.
    """

    def __init__(self, slug: str, settings: Configured) -> None:
        self.slug = slug
        self.settings = settings
        self._app: web.Application | None = None

    def serve(self, app: web.Application) -> None:
        """Take values from ``app`` from now on; called by the server when the plugin has opened what it needs."""
        self._app = app

    def __getitem__(self, key: web.AppKey[Value]) -> Value:
        if self._app is None:
            raise KeyError(key)
        return self._app[key]

    def get(self, key: web.AppKey[Value]) -> Value | None:
        """Return what the plugin's `lifespan` yielded under ``key``; None outside a server."""
        return None if self._app is None else self._app.get(key)
