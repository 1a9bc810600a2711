"""Plugins: their order, the calls of their hooks, and the handling of their failures."""

import difflib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import Any, TypeVar

import pluggy
import structlog
from aiohttp import web

from jobbergate_server import settings
from jobbergate_server.errors import StartError
from jobbergate_server.plugins import hookspecs
from jobbergate_server.plugins.deadline import Hang, call_within, locate, wait_within
from jobbergate_server.plugins.plugin import Plugin, State

HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec"))

Result = TypeVar("Result")

MISSING = {State.DISABLED: "which is disabled", State.FAILED: "which failed to load"}
"""By state, the reason why a required plugin is missing."""

log = structlog.get_logger()


class WrongHook(Exception):
    """A function that is marked as a hook but does not match one; ``place`` is its position."""

    def __init__(self, message: str, function: Callable[..., object]) -> None:
        super().__init__(message)
        self.place = _place(function)


def _anything(result: Any) -> Any:  # noqa: ANN401 - each hook has its own result
    return result


class Plugins:
    """The installed plugins in their order: each after the plugins that it requires."""

    def __init__(self, installed: Iterable[Plugin], config: settings.Plugins) -> None:
        """Import and register those of ``installed`` that ``config`` does not disable.

        Of two plugins with one slug, the first is active. ``duplicates`` has both, so that the start can be rejected.

        Raises:
            StartError: A plugin that is not optional failed, or plugins require each other in a circle.
        """
        by_label: dict[str, Plugin] = {}
        self.duplicates: list[tuple[Plugin, Plugin]] = []
        for plugin in installed:
            if plugin.slug in config.disabled:
                plugin.state, plugin.reason = State.DISABLED, "disabled in the settings"
            first = by_label.setdefault(plugin.label, plugin)
            if first is not plugin and State.DISABLED not in {plugin.state, first.state}:
                self.duplicates.append((first, plugin))
        self.installed = _ordered(by_label.values())
        self._optional = frozenset(config.optional)
        self._seconds = config.start_timeout
        self._failures: list[str] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._implementations: dict[tuple[str, str], Sequence[pluggy.HookImpl]] = {}
        for slug in sorted({*config.disabled, *config.optional} - {plugin.slug for plugin in self.installed}):
            self._failures.append(f"plugins.disabled, plugins.optional: no plugin {slug!r} is installed")
        for plugin in self.active:
            if plugin.unmet:
                self.fail(plugin, "; ".join(plugin.unmet))
            else:
                self.attempt(plugin, "import", lambda plugin=plugin: self._register(plugin))  # type: ignore[misc]  # it is called at once
        self.refuse_failures()

    @property
    def active(self) -> list[Plugin]:
        """The active plugins."""
        return [plugin for plugin in self.installed if plugin.state is State.ACTIVE]

    @property
    def failed(self) -> list[Plugin]:
        """The plugins that have failed."""
        return [plugin for plugin in self.installed if plugin.state is State.FAILED]

    def is_optional(self, plugin: Plugin) -> bool:
        """Return whether the server starts without the plugin when it fails."""
        return plugin.slug in self._optional

    def implements(self, plugin: Plugin, hook: str) -> bool:
        """Return whether the plugin implements ``hook``."""
        return bool(self._functions(plugin, hook))

    def call(
        self, plugin: Plugin, hook: str, accept: Callable[[Any], Result] = _anything, **arguments: object
    ) -> list[Result]:
        """Call the plugin's implementations of ``hook``, and return their results after ``accept``.

        The list is empty if a function fails; `refuse_failures` raises failures.
        """
        if not self.implements(plugin, hook):
            return []
        return self.attempt(plugin, hook, lambda: [accept(it) for it in self.run(plugin, hook, **arguments)]) or []

    def call_one(
        self, plugin: Plugin, hook: str, accept: Callable[[Any], Result] = _anything, **arguments: object
    ) -> Result | None:
        """Return the result of the plugin's only implementation of ``hook``, as `call` does; a second one fails."""

        def called() -> Result | None:
            results = self.run(plugin, hook, **arguments)
            if len(results) > 1:
                raise TypeError("the plugin implements the hook twice; keep one implementation")
            return accept(results[0]) if results else None

        return self.attempt(plugin, hook, called) if self.implements(plugin, hook) else None

    def run(self, plugin: Plugin, hook: str, **arguments: object) -> list[Any]:
        """Return the results of the plugin's implementations of ``hook``, in the order of the code, without None.

        Raises:
            Exception: The exception of the plugin.
        """
        # Like a call by pluggy, which would also look up the implementations of all other plugins.
        results = (it.function(*(arguments[name] for name in it.argnames)) for it in self._functions(plugin, hook))
        return [result for result in results if result is not None]

    def _functions(self, plugin: Plugin, hook: str) -> Sequence[pluggy.HookImpl]:
        key = plugin.slug, hook
        if key not in self._implementations:
            found: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
            own = (it for it in found if it.plugin_name == plugin.slug)
            self._implementations[key] = sorted(own, key=lambda it: _line(it.function))
        return self._implementations[key]

    def attempt(self, plugin: Plugin, doing: str, action: Callable[[], Result]) -> Result | None:
        """Return the result of ``action``; None if it fails or hangs, which `refuse_failures` raises."""
        try:
            return call_within(self._seconds, action)
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; the failure names the plugin
            self.fail(plugin, self._failure(plugin, doing, error))
            return None

    async def wait(self, plugin: Plugin, hook: str, answer: Awaitable[Result]) -> Result | None:
        """Return the result of ``answer``, from the plugin's ``hook``; None if it fails or hangs, as in `attempt`."""

        def report(hang: Hang) -> None:
            log.error("event loop blocked at start", plugin=plugin.slug, reason=self._failure(plugin, hook, hang))

        try:
            return await wait_within(self._seconds, answer, report)
        except Exception as error:  # noqa: BLE001 - likewise
            self.fail(plugin, self._failure(plugin, hook, error))
            return None

    def fail(self, plugin: Plugin, reason: str) -> None:
        """Mark the plugin as failed; unless it is optional, `refuse_failures` prevents the start."""
        plugin.state = State.FAILED
        plugin.reason = f"{plugin.reason}; {reason}" if plugin.reason else reason
        if plugin.slug in self._optional:
            log.error("optional plugin failed", plugin=plugin.slug, reason=reason)
        else:
            self._failures.append(f"plugin {plugin.slug!r} ({plugin.distribution} {plugin.version}): {reason}")

    def refuse_failures(self, others: Iterable[str] = ()) -> None:
        """Raise the failures of plugins, and fail plugins that require a failed or disabled plugin.

        ``others`` are further reasons, a line each.

        Raises:
            StartError: A plugin that is not optional failed, or ``others`` has lines; the text has a line for each.
        """
        states = {plugin.slug: plugin.state for plugin in self.installed}
        for plugin in self.active:
            # An unknown slug is a duplicate, which `conflicts` reports.
            missing = [slug for slug in sorted(plugin.requires) if states.get(slug, State.ACTIVE) is not State.ACTIVE]
            if missing:
                self.fail(plugin, "requires " + ", ".join(f"{slug!r}, {MISSING[states[slug]]}" for slug in missing))
                states[plugin.slug] = plugin.state
        if reasons := [*self._failures, *others]:
            raise StartError("\n".join(reasons))

    def _register(self, plugin: Plugin) -> None:
        module = plugin.load()
        for name, function, options in _marked(module):
            _check_hook(name, function, options)
        self._manager.register(module, plugin.slug)

    def _failure(self, plugin: Plugin, doing: str, error: BaseException) -> str:
        """Return one line about a failure: the action, the error, and its position in the plugin's code, if known."""
        kind = "" if isinstance(error, Hang | WrongHook) else f"{type(error).__name__}: "
        where = error.place if isinstance(error, WrongHook) else locate(plugin.package, error)
        function = getattr(self._manager.get_plugin(plugin.slug), doing, None)
        if where is None and inspect.isroutine(function):
            where = _place(function)
        return " ".join(f"{doing}: {kind}{error}".split()) + (f" ({where})" if where else "")


PLUGINS: web.AppKey[Plugins] = web.AppKey("plugins", Plugins)


def _marked(module: ModuleType) -> Iterator[tuple[str, Callable[..., object], Mapping[str, Any]]]:
    """Yield the functions of ``module`` that are marked as hooks, with the names of the hooks and pluggy's options."""
    for name, value in vars(module).items():
        if inspect.isroutine(value) and (options := getattr(value, f"{hookspecs.PROJECT}_impl", None)) is not None:
            yield options.get("specname") or name, value, options


def _check_hook(name: str, function: Callable[..., object], options: Mapping[str, Any]) -> None:
    """Reject a function that no hook calls, or that takes arguments which its hook does not provide."""
    if name not in HOOKS:
        close = difflib.get_close_matches(name, HOOKS, n=1)
        raise WrongHook(f"hook {name!r} does not exist" + (f"; did you mean {close[0]!r}?" if close else ""), function)
    if options.get("wrapper") or options.get("hookwrapper"):
        raise WrongHook(f"{name} is a wrapper, but the server calls hooks of one plugin at a time", function)
    offered = inspect.signature(getattr(hookspecs, name)).parameters
    if unknown := [parameter for parameter in inspect.signature(function).parameters if parameter not in offered]:
        provided = ", ".join(offered) or "no arguments"
        raise WrongHook(f"{name} takes {', '.join(unknown)}, but the hook provides {provided}", function)


def _line(function: Callable[..., object]) -> int:
    line: int = inspect.unwrap(function).__code__.co_firstlineno
    return line


def _place(function: Callable[..., object]) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def _ordered(plugins: Iterable[Plugin]) -> Sequence[Plugin]:
    by_slug = {plugin.slug: plugin for plugin in plugins}
    graph = {
        slug: () if plugin.state is State.DISABLED else sorted(plugin.requires & by_slug.keys())
        for slug, plugin in by_slug.items()
    }
    try:
        return [by_slug[slug] for slug in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise StartError(f"plugins require each other in a circle: {' → '.join(error.args[1])}") from None
