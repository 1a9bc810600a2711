"""The contract between the server and its plugins.

A plugin is a module, named by an entry point of the group `jobbergate.plugins`. The entry point's name is the plugin's
slug: the prefix of its routes and the name of its settings table. It implements any of these hooks under `hookimpl`,
taking only the arguments that it needs. Hooks return what the plugin contributes; none is handed the application.
"""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pluggy
from aiohttp import web

from jobbergate_server.events import Event
from jobbergate_server.files import Files
from jobbergate_server.permissions import Permission
from jobbergate_server.routing import Route
from jobbergate_server.settings import Section

PROJECT = "jobbergate"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class Models:
    """Tortoise models of a plugin: the module that defines them, and the package of their migrations, by name."""

    module: str
    migrations: str


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin is told of itself: its slug, and its settings as the model that it registered."""

    slug: str
    settings: Section | None


@hookspec
def register_settings() -> type[Section]:  # type: ignore[empty-body]
    """The model of the plugin's settings, which stand in the table `plugins.<slug>`."""


@hookspec
def register_models() -> Models:  # type: ignore[empty-body]
    """The plugin's database tables. Their Tortoise app label is the slug with `-` written as `_`."""


@hookspec
def register_permissions() -> Sequence[Permission]:  # type: ignore[empty-body]
    """Every permission that the plugin's routes ask for."""


@hookspec
def register_routes(context: PluginContext) -> Sequence[Route]:  # type: ignore[empty-body]
    """The plugin's routes, with paths below `/jobbergate/<slug>`."""


@hookspec
def lifespan(context: PluginContext) -> AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]:  # type: ignore[empty-body]
    """What the plugin keeps open while the server serves; what it yields is found in `request.app` by its keys."""


@hookspec
def on_event(event: Event, context: PluginContext) -> Awaitable[None]:  # type: ignore[empty-body]
    """React to what a request has done, after its commit; a failure is logged and changes nothing for the request.

    A plugin reacts to ten events at a time; the others wait. A reaction that goes on for long after the server was
    asked to stop is cancelled.
    """


@hookspec
def add_samples(owner: str, files: Files) -> Awaitable[None]:  # type: ignore[empty-body]
    """Add a sample row of the e-mail address ``owner``, unless the plugin has rows; for `jobbergate-server dev`."""
