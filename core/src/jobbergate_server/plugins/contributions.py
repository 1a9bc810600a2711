"""The contributions of the plugins, collected before the server starts."""

from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import chain
from typing import TypeVar

import click
from pydantic import ValidationError

from jobbergate_server.auth.permissions import Permission
from jobbergate_server.errors import StartError
from jobbergate_server.events import EventType
from jobbergate_server.plugins.conflicts import conflicts, unknown_permissions
from jobbergate_server.plugins.context import Models, PluginContext
from jobbergate_server.plugins.contribution import Contribution, active
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.routing.route import Route
from jobbergate_server.settings import Section, Settings, environment_name, problems

Item = TypeVar("Item")


def collect(plugins: Plugins, settings: Settings) -> list[Contribution]:
    """Return the contributions of the active plugins, in their order.

    Raises:
        StartError: A plugin failed, its settings are not valid, or plugins conflict; the text names each error.
    """
    collected = [Contribution(plugin, PluginContext(plugin.slug, Section())) for plugin in plugins.active]
    plugins.refuse_failures(_read_settings(plugins, collected, settings))
    for contribution in active(collected):
        plugin, context = contribution.plugin, contribution.context
        contribution.models = plugins.call_one(plugin, "register_models", _models)
        contribution.permissions = _joined(plugins.call(plugin, "register_permissions", _all(Permission)))
        contribution.events = _joined(plugins.call(plugin, "register_events", _all(EventType)))
        contribution.routes = _joined(plugins.call(plugin, "register_routes", _all(Route), context=context))
        contribution.commands = _joined(plugins.call(plugin, "register_commands", _all(click.Command), context=context))
    plugins.refuse_failures()
    contributing = active(collected)
    if found := [*conflicts(contributing, plugins.duplicates), *unknown_permissions(contributing)]:
        raise StartError("\n".join(found))
    return contributing


def _read_settings(plugins: Plugins, collected: list[Contribution], settings: Settings) -> list[str]:
    """Validate the settings of the plugins; return a line for each error."""
    given = settings.plugins.tables()
    wrong = [
        f"plugins.{name}: no such plugin is installed"
        for name in given
        if name not in {plugin.label for plugin in plugins.installed}
    ]
    for contribution in collected:
        plugin = contribution.plugin
        contribution.section = plugins.call_one(plugin, "register_settings", _section) or Section
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
            f"(set keys of plugins in [plugins.<slug>] or in {environment_name('plugins', '<slug>', '<key>')})"
        )
    return wrong


def _section(model: object) -> type[Section]:
    if not (isinstance(model, type) and issubclass(model, Section)):
        raise TypeError(f"{model!r} is not a subclass of Section")
    return model


def _models(models: object) -> Models:
    if not isinstance(models, Models):
        raise TypeError(f"{models!r} is not an instance of Models")
    import_module(models.module)
    import_module(models.migrations)
    return models


def _joined(results: Iterable[list[Item]]) -> list[Item]:
    return list(chain.from_iterable(results))


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
