"""What the plugins bring, collected and checked for clashes before anything starts."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from aiohttp import web
from pydantic import ValidationError
from tortoise import Model

from jobbergate_server.hookspecs import Models, PluginContext
from jobbergate_server.permissions import Permission
from jobbergate_server.plugins import Plugin, Plugins, StartError, State
from jobbergate_server.routing import Route
from jobbergate_server.settings import Section, Settings, environment_name, problems

Item = TypeVar("Item")


@dataclass(slots=True)
class Contribution:
    """What one plugin brings."""

    plugin: Plugin
    settings: Section | None = None
    models: Models | None = None
    permissions: list[Permission] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    @property
    def context(self) -> PluginContext:
        """What the plugin is told of itself."""
        return PluginContext(self.plugin.slug, self.settings)

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
    plugins.refuse_failures(_read_settings(plugins, collected, settings))
    for contribution in _active(collected):
        plugin = contribution.plugin
        contribution.models = plugins.call(plugin, "register_models", _models)
        contribution.permissions = plugins.call(plugin, "register_permissions", _all(Permission)) or []
        contribution.routes = plugins.call(plugin, "register_routes", _all(Route), context=contribution.context) or []
    plugins.refuse_failures()
    active = _active(collected)
    if found := [*clashes(active), *unknown_permissions(active)]:
        raise StartError("\n".join(found))
    return active


CONTRIBUTIONS: web.AppKey[list[Contribution]] = web.AppKey("contributions", list[Contribution])


def tortoise_apps(contributions: Iterable[Contribution]) -> dict[str, dict[str, Any]]:
    """Tortoise's description of the models of all plugins, by label.

    Raises:
        StartError: There are none, which is nothing that Tortoise could connect to.
    """
    apps = {contribution.plugin.label: contribution.app for contribution in contributions if contribution.models}
    if not apps:
        raise StartError("No active plugin has tables, so there is nothing to serve.")
    return apps


def permission_names(contributions: Iterable[Contribution]) -> list[str]:
    """The names of all permissions that the plugins bring."""
    return [permission.name for contribution in contributions for permission in contribution.permissions]


def _active(collected: Iterable[Contribution]) -> list[Contribution]:
    return [contribution for contribution in collected if contribution.plugin.state is State.ACTIVE]


def _read_settings(plugins: Plugins, collected: list[Contribution], settings: Settings) -> list[str]:
    """Validate the tables of the plugins; a line for everything that is wrong with them."""
    tables = settings.plugins.tables()
    wrong = [
        f"plugins.{name}: no such plugin is installed"
        for name in tables
        if name not in {plugin.label for plugin in plugins.installed}
    ]
    for contribution in collected:
        plugin = contribution.plugin
        model = plugins.call(plugin, "register_settings", _section) or Section
        if plugin.state is not State.ACTIVE:
            continue
        try:
            contribution.settings = model.model_validate(tables.get(plugin.label, {}))
        except ValidationError as error:
            wrong += problems(error, "plugins", plugin.slug)
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


def _all(kind: type[Item]) -> Callable[[object], list[Item]]:
    def accept(items: object) -> list[Item]:
        if not isinstance(items, Iterable):
            raise TypeError(f"{items!r} is not a list of {kind.__name__}s")
        listed = list(items)
        for item in listed:
            if not isinstance(item, kind):
                raise TypeError(f"{item!r} is not a {kind.__name__}")
        return listed

    return accept


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
                    who = f"{slug!r} twice" if owners[name] == slug else f"both {owners[name]!r} and {slug!r}"
                    yield f"{kind} {name!r} is brought by {who}"
                owners[name] = slug


def unknown_permissions(contributions: Iterable[Contribution]) -> Iterator[str]:
    """A line for every permission that a route asks for and no plugin has registered."""
    contributions = list(contributions)
    registered = set(permission_names(contributions))
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
