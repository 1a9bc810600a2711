"""An installed plugin."""

from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from types import ModuleType


class State(StrEnum):
    """What became of an installed plugin."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"


@dataclass(slots=True)
class Plugin:
    """An installed plugin.

    ``requires`` are the slugs of the plugins that its distribution requires, ``unmet`` tells which of its requirements
    this environment does not meet.
    """

    slug: str
    module: ModuleType | str
    distribution: str
    version: str
    requires: frozenset[str] = frozenset()
    unmet: tuple[str, ...] = field(default=(), kw_only=True)
    state: State = State.ACTIVE
    reason: str | None = None

    @property
    def label(self) -> str:
        """The slug as Python and Tortoise write it."""
        return self.slug.replace("-", "_")

    @property
    def package(self) -> str:
        """The name of the package, or of the module, that the plugin's code is in."""
        name = self.module if isinstance(self.module, str) else self.module.__name__
        return name.partition(".")[0]

    def load(self) -> ModuleType:
        """The module that implements the hooks."""
        return import_module(self.module) if isinstance(self.module, str) else self.module
