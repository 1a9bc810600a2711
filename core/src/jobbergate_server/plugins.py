"""Plugins: which are installed, in which order they come, and how their hooks are called."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar

import pluggy
import structlog
from aiohttp import web
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobbergate_server import hookspecs, settings

GROUP = "jobbergate.plugins"
OWN = "service"
RESERVED = frozenset({OWN, *settings.Plugins.model_fields})
"""Slugs that would be taken for the core's own plugin or for a key of `[plugins]`."""

Result = TypeVar("Result")

log = structlog.get_logger()


class StartError(Exception):
    """The server cannot start; the text has a line for each reason."""


class State(StrEnum):
    """What became of an installed plugin."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"


@dataclass(slots=True)
class Plugin:
    """An installed plugin; ``requires`` are the slugs of the plugins that its distribution requires."""

    slug: str
    module: ModuleType | str
    distribution: str
    version: str
    requires: frozenset[str] = frozenset()
    prefix: str = field(default="", kw_only=True)
    state: State = State.ACTIVE
    reason: str | None = None

    @property
    def label(self) -> str:
        """The slug as Python and Tortoise write it."""
        return self.slug.replace("-", "_")


def _anything(result: Any) -> Any:  # noqa: ANN401 - each hook has its own result
    return result


class Plugins:
    """The installed plugins in their order, those required by others first."""

    def __init__(self, installed: Iterable[Plugin], config: settings.Plugins) -> None:
        """Import and register those of ``installed`` that ``config`` does not disable.

        Raises:
            StartError: A plugin that is not optional failed, or plugins require each other in a circle.
        """
        installed = list(installed)
        for plugin in installed:
            if plugin.slug in config.disabled:
                plugin.state, plugin.reason = State.DISABLED, "disabled in the settings"
        self.installed = _ordered(installed)
        self._optional = frozenset(config.optional)
        self._failures: list[str] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for slug in sorted({*config.disabled, *config.optional} - {plugin.slug for plugin in self.installed}):
            self._failures.append(f"plugins.disabled, plugins.optional: no plugin {slug!r} is installed")
        for plugin in self.active:
            self._attempt(plugin, "import", lambda plugin=plugin: self._register(plugin))  # type: ignore[misc]  # it is called at once
        self.refuse_failures()

    @property
    def active(self) -> list[Plugin]:
        """The plugins that take part."""
        return [plugin for plugin in self.installed if plugin.state is State.ACTIVE]

    def call(
        self, plugin: Plugin, hook: str, accept: Callable[[Any], Result] = _anything, **arguments: object
    ) -> Result | None:
        """What ``accept`` makes of what the plugin's implementation of ``hook`` returns.

        It is None when the plugin has none, or when one of the two fails; failures are kept for `refuse_failures`.
        """

        def called() -> Result | None:
            result = self.run(plugin, hook, **arguments)
            return None if result is None else accept(result)

        return self._attempt(plugin, hook, called)

    def run(self, plugin: Plugin, hook: str, **arguments: object) -> Any:  # noqa: ANN401 - each hook has its own result
        """What the plugin's implementation of ``hook`` returns; None when it has none.

        Raises:
            Exception: Whatever the plugin raises.
        """
        others = [other for other in self._manager.get_plugins() if self._manager.get_name(other) != plugin.slug]
        results = self._manager.subset_hook_caller(hook, others)(**arguments)
        return results[0] if results else None

    def fail(self, plugin: Plugin, reason: str) -> None:
        """Leave the plugin out whole; unless it is optional, `refuse_failures` will stop the start."""
        plugin.state = State.FAILED
        plugin.reason = f"{plugin.reason}; {reason}" if plugin.reason else reason
        if plugin.slug in self._optional:
            log.error("optional plugin left out", plugin=plugin.slug, reason=reason)
        else:
            self._failures.append(f"plugin {plugin.slug!r} ({plugin.distribution} {plugin.version}): {reason}")

    def refuse_failures(self, others: Iterable[str] = ()) -> None:
        """Stop the start when anything has failed, and leave out what requires a plugin that is out.

        The lines of ``others`` stop it too.

        Raises:
            StartError: A plugin that is not optional failed; all of them are named.
        """
        states = {plugin.slug: plugin.state for plugin in self.installed}
        for plugin in self.active:
            missing = [slug for slug in sorted(plugin.requires) if states[slug] is not State.ACTIVE]
            if missing:
                self.fail(plugin, "requires " + ", ".join(f"{slug!r}, which is {states[slug]}" for slug in missing))
                states[plugin.slug] = plugin.state
        if reasons := [*self._failures, *others]:
            raise StartError("\n".join(reasons))

    def _register(self, plugin: Plugin) -> None:
        module = import_module(plugin.module) if isinstance(plugin.module, str) else plugin.module
        self._manager.register(module, plugin.slug)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            # The next check looks at all plugins again, and must not find what this one did.
            self._manager.unregister(name=plugin.slug)
            raise

    def _attempt(self, plugin: Plugin, doing: str, action: Callable[[], Result]) -> Result | None:
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and is named for it
            self.fail(plugin, f"{doing}: {type(error).__name__}: {error}")
            return None


PLUGINS: web.AppKey[Plugins] = web.AppKey("plugins", Plugins)


def discover() -> list[Plugin]:
    """The plugins that are installed in this environment, and the core's own.

    Raises:
        StartError: A slug is not one, or two distributions bring the same.
    """
    from jobbergate_server import __version__, service  # noqa: PLC0415 - the service plugin is made of this package

    found: dict[str, EntryPoint] = {}
    wrong = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _distribution(entry))):
        slug = entry.name
        if slug in RESERVED or not re.fullmatch("[a-z][a-z0-9_-]*", slug):
            wrong.append(
                f"plugin {slug!r} of {_distribution(entry)}: the slug must consist of lower-case letters, digits and "
                f"hyphens, and must not be {', '.join(sorted(RESERVED))}"
            )
        other = next((known for known in found if known.replace("-", "_") == slug.replace("-", "_")), None)
        if other is not None:
            first, second = _distribution(found[other]), _distribution(entry)
            wrong.append(f"plugin {slug!r} is brought by both {first} and {second}")
        found[slug] = entry
    if wrong:
        raise StartError("\n".join(wrong))
    slugs: dict[str, set[str]] = {}
    for slug, entry in found.items():
        slugs.setdefault(_distribution(entry), set()).add(slug)
    own = Plugin(OWN, service, "jobbergate-server", __version__)
    return [own] + [
        Plugin(
            slug,
            entry.value,
            _distribution(entry),
            entry.dist.version if entry.dist else "",
            frozenset().union(*(slugs.get(name, set()) for name in _requirements(entry))) - {slug},
            prefix=f"/{slug}",
        )
        for slug, entry in found.items()
    ]


def _distribution(entry: EntryPoint) -> str:
    return canonicalize_name(entry.dist.name) if entry.dist else ""


def _requirements(entry: EntryPoint) -> list[str]:
    """The names of the distributions that the entry point's own requires in this environment."""
    requirements = [Requirement(text) for text in (entry.dist.requires if entry.dist else None) or []]
    return [
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def _ordered(plugins: Iterable[Plugin]) -> Sequence[Plugin]:
    by_slug = {plugin.slug: plugin for plugin in plugins}
    graph = {
        slug: () if plugin.state is State.DISABLED else sorted(plugin.requires) for slug, plugin in by_slug.items()
    }
    try:
        return [by_slug[slug] for slug in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise StartError(f"plugins require each other in a circle: {' → '.join(error.args[1])}") from None
