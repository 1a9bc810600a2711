"""An installed plugin."""

from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from types import ModuleType


class State(StrEnum):
    """The state of an installed plugin."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"


@dataclass(slots=True)
class Plugin:
    """An installed plugin.

    ``requires`` are the slugs of the plugins that its distribution requires. ``unmet`` are the requirements that this
    environment does not meet.
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
        """The slug as a Python identifier, which is the app label in Tortoise."""
        return self.slug.replace("-", "_")

    @property
    def package(self) -> str:
        """The name of the package or module that contains the plugin's code."""
        name = self.module if isinstance(self.module, str) else self.module.__name__
        return name.partition(".")[0]

    def load(self) -> ModuleType:
        """Import and return the module that implements the hooks."""
        return import_module(self.module) if isinstance(self.module, str) else self.module
