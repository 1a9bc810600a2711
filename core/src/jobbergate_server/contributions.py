"""What the plugins bring, collected before anything starts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

import click
from aiohttp import web
from pydantic import ValidationError

from jobbergate_server.clashes import clashes, unknown_permissions
from jobbergate_server.events import EventType
from jobbergate_server.hookspecs import Models, PluginContext
from jobbergate_server.journal import Journal
from jobbergate_server.permissions import Permission
from jobbergate_server.plugins import Plugin, Plugins, StartError, State
from jobbergate_server.routing import Route
from jobbergate_server.settings import Section, Settings, environment_name, problems
from jobbergate_server.statements import PreparedQuery

Item = TypeVar("Item")


@dataclass(slots=True)
class Contribution:
    """What one plugin brings."""

    plugin: Plugin
    context: PluginContext
    section: type[Section] = Section
    models: Models | None = None
    permissions: list[Permission] = field(default_factory=list)
    events: list[EventType] = field(default_factory=list)
    subscriptions: PreparedQuery[Any] | None = None
    journal: Journal | None = None
    routes: list[Route] = field(default_factory=list)
    commands: list[click.Command] = field(default_factory=list)

    @property
    def app(self) -> dict[str, Any]:
        """Tortoise's description of the plugin's models."""
        return {"models": [self.models.module], "migrations": self.models.migrations} if self.models else {}

    @property
    def is_active(self) -> bool:
        """Whether the plugin still takes part."""
        return self.plugin.state is State.ACTIVE


def collect(plugins: Plugins, settings: Settings) -> list[Contribution]:
    """Ask every active plugin for what it brings, in their order.

    Raises:
        StartError: A plugin failed, its settings are not valid, or two plugins clash; all problems of a kind are told.
    """
    collected = [Contribution(plugin, PluginContext(plugin.slug, None)) for plugin in plugins.active]
    plugins.refuse_failures(_read_settings(plugins, collected, settings))
    for contribution in active(collected):
        plugin, context = contribution.plugin, contribution.context
        contribution.models = plugins.call(plugin, "register_models", _models)
        contribution.permissions = plugins.call(plugin, "register_permissions", _all(Permission)) or []
        contribution.events = plugins.call(plugin, "register_events", _all(EventType)) or []
        contribution.subscriptions = plugins.call(plugin, "register_subscriptions", _instance(PreparedQuery))
        contribution.journal = plugins.call(plugin, "register_journal", _instance(Journal))
        contribution.routes = plugins.call(plugin, "register_routes", _all(Route), context=context) or []
        contribution.commands = plugins.call(plugin, "register_commands", _all(click.Command), context=context) or []
    plugins.refuse_failures()
    taking_part = active(collected)
    if found := [*clashes(taking_part, plugins.duplicates), *unknown_permissions(taking_part)]:
        raise StartError("\n".join(found))
    return taking_part


CONTRIBUTIONS: web.AppKey[list[Contribution]] = web.AppKey("contributions", list[Contribution])
EVENTS: web.AppKey[Mapping[str, EventType]] = web.AppKey("events", Mapping[str, EventType])
"""The kinds of events that the plugins have registered, by name."""


def active(contributions: Iterable[Contribution]) -> list[Contribution]:
    """The contributions of plugins that still take part."""
    return [contribution for contribution in contributions if contribution.is_active]


def tortoise_apps(contributions: Iterable[Contribution]) -> dict[str, dict[str, Any]]:
    """Tortoise's description of the models of all plugins, by label."""
    return {contribution.plugin.label: contribution.app for contribution in contributions if contribution.models}


def event_types(contributions: Iterable[Contribution]) -> dict[str, EventType]:
    """The kinds of events that the plugins bring, by name."""
    return {event.name: event for contribution in contributions for event in contribution.events}


def permission_names(contributions: Iterable[Contribution]) -> list[str]:
    """The names of all permissions that the plugins bring."""
    return [permission.name for contribution in contributions for permission in contribution.permissions]


def _read_settings(plugins: Plugins, collected: list[Contribution], settings: Settings) -> list[str]:
    """Validate the tables of the plugins; a line for everything that is wrong with them."""
    given = settings.plugins.tables()
    wrong = [
        f"plugins.{name}: no such plugin is installed"
        for name in given
        if name not in {plugin.label for plugin in plugins.installed}
    ]
    for contribution in collected:
        plugin = contribution.plugin
        contribution.section = plugins.call(plugin, "register_settings", _section) or Section
        if not contribution.is_active:
            continue
        try:
            read = contribution.section.model_validate(given.get(plugin.label, {}))
        except ValidationError as error:
            wrong += problems(error, "plugins", plugin.slug)
        else:
            contribution.context = PluginContext(plugin.slug, read)
    if wrong:
        wrong.append(
            f"(keys of plugins stand in [plugins.<slug>] or in {environment_name('plugins', '<slug>', '<key>')})"
        )
    return wrong


def _section(model: object) -> type[Section]:
    if not (isinstance(model, type) and issubclass(model, Section)):
        raise TypeError(f"{model!r} is not a subclass of Section")
    return model


def _models(models: object) -> Models:
    if not isinstance(models, Models):
        raise TypeError(f"{models!r} is not a Models")
    import_module(models.module)
    import_module(models.migrations)
    return models


def _instance(kind: type[Item]) -> Callable[[object], Item]:
    def accept(item: object) -> Item:
        if not isinstance(item, kind):
            raise TypeError(f"{item!r} is not a {kind.__name__}")
        return item

    return accept


def _all(kind: type[Item]) -> Callable[[object], list[Item]]:
    def accept(items: object) -> list[Item]:
        if not isinstance(items, Iterable):
            raise TypeError(f"{items!r} is not a list of {kind.__name__}s")
        listed = list(items)
        for item in listed:
            if not isinstance(item, kind):
                article = "an" if kind.__name__.startswith(tuple("AEIOU")) else "a"
                raise TypeError(f"{item!r} is not {article} {kind.__name__}")
        return listed

    return accept
