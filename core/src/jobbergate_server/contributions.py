"""What the plugins bring, collected and checked for clashes before anything starts."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pydantic import ValidationError
from tortoise import Model

from jobbergate_server.hookspecs import Models, PluginContext
from jobbergate_server.permissions import Permission
from jobbergate_server.plugins import Plugin, Plugins, StartError
from jobbergate_server.routing import Route
from jobbergate_server.settings import Section, Settings, environment_name, problems


@dataclass(slots=True)
class Contribution:
    """What one plugin brings."""

    plugin: Plugin
    settings: Section | None = None
    models: Models | None = None
    permissions: list[Permission] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    @property
    def app(self) -> dict[str, Any]:
        """Tortoise's description of the plugin's models."""
        return {"models": [self.models.module], "migrations": self.models.migrations} if self.models else {}


def collect(plugins: Plugins, settings: Settings) -> list[Contribution]:
    """Ask every active plugin for what it brings, in their order.

    Raises:
        StartError: A plugin failed, its settings are not valid, or two plugins clash; all problems of a kind are told.
    """
    collected = [Contribution(plugin) for plugin in plugins.active]
    _read_settings(plugins, collected, settings)
    for contribution in collected:
        plugin = contribution.plugin
        contribution.models = plugins.call(plugin, "register_models")
        contribution.permissions = list(plugins.call(plugin, "register_permissions") or ())
        context = PluginContext(plugin.slug, contribution.settings)
        contribution.routes = list(plugins.call(plugin, "register_routes", context=context) or ())
    plugins.refuse_failures()
    active = [contribution for contribution in collected if contribution.plugin in plugins.active]
    if found := [*clashes(active), *unknown_permissions(active)]:
        raise StartError("\n".join(found))
    return active


def tortoise_apps(contributions: Iterable[Contribution]) -> dict[str, dict[str, Any]]:
    """Tortoise's description of the models of all plugins, by label."""
    return {contribution.plugin.label: contribution.app for contribution in contributions if contribution.models}


def _read_settings(plugins: Plugins, collected: list[Contribution], settings: Settings) -> None:
    tables = settings.plugins.tables()
    wrong = [
        f"plugins.{name}: no such plugin is installed"
        for name in tables
        if name not in {plugin.label for plugin in plugins.installed}
    ]
    for contribution in collected:
        plugin = contribution.plugin
        model: type[Section] = plugins.call(plugin, "register_settings") or Section
        try:
            contribution.settings = model.model_validate(tables.get(plugin.label, {}))
        except ValidationError as error:
            wrong += problems(error, "plugins", plugin.slug)
    if wrong:
        hint = environment_name("plugins", "<slug>", "<key>")
        raise StartError("\n".join([*wrong, f"(keys of plugins stand in [plugins.<slug>] or in {hint})"]))


def clashes(contributions: Iterable[Contribution]) -> Iterator[str]:
    """A line for everything that two plugins, or one of them twice, bring under the same name."""
    contributions = list(contributions)
    kinds: Mapping[str, Callable[[Contribution], Iterable[Hashable]]] = {
        "route": lambda it: (f"{route.method} {it.plugin.prefix}{route.shape}" for route in it.routes),
        "operation": lambda it: (route.name for route in it.routes),
        "permission": lambda it: (permission.name for permission in it.permissions),
        "table": lambda it: tables(it.models) if it.models else (),
    }
    for kind, names in kinds.items():
        owners: dict[Hashable, str] = {}
        for contribution in contributions:
            for name in names(contribution):
                slug = contribution.plugin.slug
                if name in owners:
                    yield f"{kind} {name!r} is brought by both {owners[name]!r} and {slug!r}"
                owners[name] = slug


def unknown_permissions(contributions: Iterable[Contribution]) -> Iterator[str]:
    """A line for every permission that a route asks for and no plugin has registered."""
    contributions = list(contributions)
    registered = {permission.name for contribution in contributions for permission in contribution.permissions}
    for contribution in contributions:
        for route in contribution.routes:
            if isinstance(route.permission, Permission) and route.permission.name not in registered:
                yield (
                    f"plugin {contribution.plugin.slug!r}: {route.method} {route.path!r} asks for the permission "
                    f"{route.permission.name!r}, which no plugin registers"
                )


def tables(models: Models) -> list[str]:
    """The names of the tables that the module of ``models`` defines."""
    module = import_module(models.module)
    return [
        value._meta.db_table  # noqa: SLF001 - Tortoise's documented way to the table
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Model)
        and not value._meta.abstract  # noqa: SLF001 - likewise
        and value.__module__ == module.__name__
    ]
