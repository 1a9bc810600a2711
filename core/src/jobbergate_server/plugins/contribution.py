"""The contribution of one plugin."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click
from aiohttp import web

from jobbergate_server.auth.permissions import Permission
from jobbergate_server.events import EventType
from jobbergate_server.plugins.context import Models, PluginContext
from jobbergate_server.plugins.plugin import Plugin, State
from jobbergate_server.routing.route import Route
from jobbergate_server.settings import Section


@dataclass(slots=True)
class Contribution:
    """The settings, tables, permissions, events, routes and commands of one plugin."""

    plugin: Plugin
    context: PluginContext
    section: type[Section] = Section
    models: Models | None = None
    permissions: list[Permission] = field(default_factory=list)
    events: list[EventType] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    commands: list[click.Command] = field(default_factory=list)

    @property
    def app(self) -> dict[str, Any]:
        """Tortoise's description of the plugin's models."""
        return {"models": [self.models.module], "migrations": self.models.migrations} if self.models else {}

    @property
    def is_active(self) -> bool:
        """Whether the plugin is active."""
        return self.plugin.state is State.ACTIVE


CONTRIBUTIONS: web.AppKey[list[Contribution]] = web.AppKey("contributions", list[Contribution])
EVENTS: web.AppKey[Mapping[str, EventType]] = web.AppKey("events", Mapping[str, EventType])
"""The event types that the plugins have registered, by name."""


def active(contributions: Iterable[Contribution]) -> list[Contribution]:
    """Return the contributions of active plugins."""
    return [contribution for contribution in contributions if contribution.is_active]


def tortoise_apps(contributions: Iterable[Contribution]) -> dict[str, dict[str, Any]]:
    """Return Tortoise's description of the models of all plugins, by label."""
    return {contribution.plugin.label: contribution.app for contribution in contributions if contribution.models}


def event_types(contributions: Iterable[Contribution]) -> dict[str, EventType]:
    """Return the event types of the plugins, by name."""
    return {event.name: event for contribution in contributions for event in contribution.events}


def permission_names(contributions: Iterable[Contribution]) -> list[str]:
    """Return the names of all permissions of the plugins."""
    return [permission.name for contribution in contributions for permission in contribution.permissions]
