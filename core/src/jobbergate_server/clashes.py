"""What two plugins bring under one name: found before anything starts, and told with the names of both."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel

from jobbergate_server import settings
from jobbergate_server.permissions import Permission
from jobbergate_server.plugins import OWN, Plugin
from jobbergate_server.routing import schema_name
from jobbergate_server.tables import tables

if TYPE_CHECKING:
    from jobbergate_server.contributions import Contribution

Named = Iterator[tuple[Hashable, object]]
"""Names, each with what has it: the same thing under one name twice is no clash."""


def clashes(contributions: Iterable["Contribution"], duplicates: Iterable[tuple[Plugin, Plugin]]) -> Iterator[str]:
    """A line for everything that two plugins, or one of them twice, bring under the same name.

    ``duplicates`` are the plugins of one slug, of which only the first is among the contributions.
    """
    contributions = list(contributions)
    for first, second in duplicates:
        yield f"slug {second.slug!r} is brought by both {first.distribution!r} and {second.distribution!r}"
    for kind, named in KINDS.items():
        owners: dict[Hashable, tuple[str, object]] = {}
        for contribution in contributions:
            slug = contribution.plugin.slug
            for name, thing in named(contribution):
                owner, other = owners.setdefault(name, (slug, thing))
                if other is not thing:
                    who = f"{slug!r} twice" if owner == slug else f"both {owner!r} and {slug!r}"
                    yield f"{kind} {name!r} is brought by {who}"


def unknown_permissions(contributions: Iterable["Contribution"]) -> Iterator[str]:
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


def _settings(it: "Contribution") -> Named:
    if it.plugin.slug == OWN:
        yield from ((f"plugins.{key}", object()) for key in settings.Plugins.model_fields)
    else:
        table = f"plugins.{it.plugin.label}"
        yield table, it
        yield from ((name, object()) for name in _keys(it.section, table))


def _keys(model: type[BaseModel], table: str) -> Iterator[str]:
    """The settings of ``model`` as the environment spells them: without a difference between cases."""
    for name, field in model.model_fields.items():
        yield f"{table}.{name.lower()}"
        if (model_of_table := settings.subtable(field)) is not None:
            yield from _keys(model_of_table, f"{table}.{name.lower()}")


def _commands(it: "Contribution") -> Named:
    group = f"{it.plugin.slug} " if it.plugin.prefix else ""
    if group and it.commands:
        yield it.plugin.slug, it
    yield from ((f"{group}{command.name}", command) for command in it.commands)


def _schemas(it: "Contribution") -> Named:
    if it.plugin.slug == OWN:
        yield "Problem", it  # of the errors that every route answers
    yield from ((schema_name(schema), schema) for route in it.routes for schema in route.schemas())


KINDS: Mapping[str, Callable[["Contribution"], Named]] = {
    "route": lambda it: ((f"{route.method} {it.plugin.prefix}{route.shape}", object()) for route in it.routes),
    "operationId": lambda it: ((route.name, object()) for route in it.routes),
    "schema": _schemas,
    "permission": lambda it: ((permission.name, object()) for permission in it.permissions),
    "event": lambda it: ((event.name, object()) for event in it.events),
    "table": lambda it: ((table, object()) for table in (tables(it.models) if it.models else ())),
    "setting": _settings,
    "command": _commands,
}
"""By kind, how a plugin's names of that kind are found."""
