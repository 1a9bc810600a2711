"""Conflicts: one name that two plugins bring, reported with both slugs before anything starts."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from pydantic import BaseModel

from jobbergate_server import settings
from jobbergate_server.auth.permissions import Permission
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.entry_points import command_entries
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.table_names import tables
from jobbergate_server.routing.route import anonymous, schema_name

SERVER = "jobbergate-server"
"""The owner of the names that the server reserves."""

Named = Iterator[tuple[Hashable, object]]
"""Names, each with its object: the same object twice under one name is not a conflict."""


def conflicts(contributions: Iterable[Contribution], duplicates: Iterable[tuple[Plugin, Plugin]]) -> Iterator[str]:
    """Yield a line for each name that two plugins bring, or one plugin twice.

    ``duplicates`` are pairs of plugins with one slug; only the first of a pair is among the contributions.
    """
    contributions = list(contributions)
    for first, second in duplicates:
        yield f"slug {second.slug!r} is brought by both {first.distribution!r} and {second.distribution!r}"
    for kind, named in KINDS.items():
        owners: dict[Hashable, tuple[str, object]] = {name: (SERVER, object()) for name in RESERVED.get(kind, list)()}
        for contribution in contributions:
            slug = contribution.plugin.slug
            for name, thing in named(contribution):
                owner, other = owners.setdefault(name, (slug, thing))
                if other is not thing:
                    brought_by = f"{slug!r} twice" if owner == slug else f"both {owner!r} and {slug!r}"
                    yield f"{kind} {name!r} is brought by {brought_by}"


def unknown_permissions(contributions: Iterable[Contribution]) -> Iterator[str]:
    """Yield a line for each permission that a route requires and no plugin registers."""
    contributions = list(contributions)
    registered = {permission.name for contribution in contributions for permission in contribution.permissions}
    for contribution in contributions:
        for route in contribution.routes:
            if isinstance(route.permission, Permission) and route.permission.name not in registered:
                yield (
                    f"plugin {contribution.plugin.slug!r}: {route.method} {route.path!r} requires the permission "
                    f"{route.permission.name!r}, which no plugin registers"
                )


def _settings(it: Contribution) -> Named:
    table = f"plugins.{it.plugin.label}"
    yield table, it
    yield from ((name, object()) for name in _keys(it.section, table))


def _keys(model: type[BaseModel], table: str) -> Iterator[str]:
    """Yield the settings of ``model`` in lower case, because environment variables ignore case."""
    for name, field in model.model_fields.items():
        yield f"{table}.{name.lower()}"
        if (model_of_table := settings.subtable(field)) is not None:
            yield from _keys(model_of_table, f"{table}.{name.lower()}")


def _commands(it: Contribution) -> Named:
    if it.commands:
        yield it.plugin.slug, it
    yield from ((f"{it.plugin.slug} {command.name}", command) for command in it.commands)


KINDS: Mapping[str, Callable[[Contribution], Named]] = {
    "route": lambda it: (
        (f"{route.method} {anonymous(route.location(it.plugin.slug))}", object()) for route in it.routes
    ),
    "operationId": lambda it: ((route.name, object()) for route in it.routes),
    "schema": lambda it: ((schema_name(schema), schema) for route in it.routes for schema in route.schemas()),
    "permission": lambda it: ((permission.name, object()) for permission in it.permissions),
    "event": lambda it: ((event.name, object()) for event in it.events),
    "table": lambda it: ((table, object()) for table in (tables(it.models) if it.models else ())),
    "setting": _settings,
    "command": _commands,
}
"""By kind, the names that a plugin brings."""
RESERVED: Mapping[str, Callable[[], Iterable[str]]] = {
    "schema": lambda: ["Problem"],
    "setting": lambda: (f"plugins.{key}" for key in settings.Plugins.model_fields),
    "command": command_entries,
}
"""By kind, the names that the server reserves."""
