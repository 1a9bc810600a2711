"""The next migration of a plugin, from the differences between its models and its migrations.

No database is needed.
"""

import asyncio
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tortoise import Model
from tortoise.context import TortoiseContext
from tortoise.fields import Field
from tortoise.fields.relational import ForeignKeyFieldInstance, ManyToManyFieldInstance
from tortoise.migrations.graph import MigrationGraph, MigrationKey
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.operations import AddField, AlterField, CreateModel, TortoiseOperation
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_generator.operation_generator import OperationGenerator
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.migrations.writer import MigrationWriter, format_migration_name

import jobbergate_server
from jobbergate_server import settings
from jobbergate_server.database.meta import meta
from jobbergate_server.errors import StartError
from jobbergate_server.plugins.conflicts import conflicts
from jobbergate_server.plugins.context import Models
from jobbergate_server.plugins.discovery import discover, select
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.plugins.table_names import models_of

PACKAGE = '"""Changes of the tables, in order."""\n'
"""The text of a new package of migrations."""

DOING = "makemigrations"
IMPORT = re.compile(r"^from jobbergate_server\.\S+ import (.+)$", re.MULTILINE)

Relation = ForeignKeyFieldInstance[Model] | ManyToManyFieldInstance[Model]
Columns = Mapping[tuple[str, str, str], MigrationKey]
"""Apps, models and fields, each with the first migration that creates it."""


@dataclass(frozen=True, slots=True)
class NewMigration:
    """A migration that is not written yet: its path, its text, and a line for each change."""

    path: Path
    text: str
    changes: tuple[str, ...]

    def write(self) -> None:
        """Write the file, and its package if that does not exist.

        Raises:
            StartError: The file cannot be written, or the next installation would delete it.
        """
        for kind in ("purelib", "platlib"):
            if self.path.is_relative_to(folder := sysconfig.get_path(kind)):
                raise StartError(
                    f"The next installation would delete {self.path}, because {folder} contains a copy of the plugin's "
                    "code. Install the plugin from its sources, with `pip install -e`."
                )
        try:
            self.path.parent.mkdir(exist_ok=True)
            package = self.path.with_name("__init__.py")
            if not package.exists():
                package.write_text(PACKAGE)
            with self.path.open("x", encoding="utf-8") as file:
                file.write(self.text)
        except OSError as error:
            raise StartError(f"{self.path} cannot be written: {error.strerror}") from None


def new_migration(
    slug: str, name: str | None = None, *, timeout: float = settings.Plugins().start_timeout
) -> NewMigration | None:
    """Return the migration from the plugin's migrations to its models; None if they do not differ.

    Its name is a number and ``name``, which is a summary of the changes by default. Code of the plugin must end within
    ``timeout`` seconds.

    Raises:
        StartError: The plugin is not installed or has no models, or a migration cannot make these changes.
    """
    installed = discover()
    if slug not in {plugin.slug for plugin in installed}:
        known = ", ".join(dict.fromkeys(plugin.slug for plugin in installed)) or "none"
        raise StartError(f"The plugin {slug!r} is not installed. Installed plugins: {known}.")
    plugins = Plugins(select(installed, [slug]), settings.Plugins(start_timeout=timeout))
    plugins.refuse_failures(conflicts([], plugins.duplicates))
    described = {plugin.label: plugins.call_one(plugin, "register_models", _models) for plugin in plugins.active}
    plugins.refuse_failures()
    plugin = next(plugin for plugin in plugins.active if plugin.slug == slug)
    models = described[plugin.label]
    if models is None:
        raise StartError(f"The plugin {slug!r} has no models. Implement the hook register_models.")
    apps = {label: _app(models) for label, models in described.items() if models}
    _refuse(plugin, _strange_relations(models, apps))
    compared = plugins.attempt(plugin, DOING, lambda: asyncio.run(_compare(plugin.label, apps)))
    plugins.refuse_failures()
    if compared is None or not compared.operations:
        return None
    _refuse(plugin, _impossible(plugin.label, compared))
    path = _package(plugin, models.migrations) / f"{compared.name(plugin.label, name)}.py"
    text = plugins.attempt(plugin, DOING, lambda: _text(path.stem, plugin.label, compared))
    plugins.refuse_failures()
    return NewMigration(path, str(text), tuple(operation.describe() for operation in compared.operations))


class _Comparison(NamedTuple):
    """The operations from the migrations of an app to its models, and the result of the migrations of all apps."""

    operations: list[TortoiseOperation]
    graph: MigrationGraph
    columns: Columns

    def newest(self, label: str) -> list[MigrationKey]:
        """Return the migrations of the app that no other migration of the app depends on."""
        own = {key: node for key, node in self.graph.node_map.items() if key.app_label == label}
        return sorted(key for key, node in own.items() if not any(child.key in own for child in node.children))

    def name(self, label: str, given: str | None) -> str:
        """Return the name of the next migration of the app: a number, and ``given`` or a summary."""
        own = [key.name for key in self.graph.nodes if key.app_label == label]
        number = max((int(found[0]) for name in own if (found := re.match(r"\d+", name))), default=len(own)) + 1
        return format_migration_name(number, given or (self.summary if own else "initial"))

    @property
    def summary(self) -> str:
        """A short summary of the operations."""
        more = " and more" if len(self.operations) > 1 else ""
        return f"{self.operations[0].describe()}{more}"

    @property
    def tables(self) -> list[str]:
        """The tables that the operations create."""
        return [str(it.options["table"]) for it in self.operations if isinstance(it, CreateModel) and it.options]


class _NothingApplied(MigrationRecorder):
    """The recorder of a database that does not exist, without applied migrations."""

    def __init__(self) -> None:
        super().__init__(None)

    async def applied_migrations(self) -> list[MigrationKey]:
        """Return no migrations."""
        return []


def _refuse(plugin: Plugin, reasons: Iterable[str]) -> None:
    if lines := [f"plugin {plugin.slug!r}: {reason}" for reason in reasons]:
        raise StartError("\n".join(lines))


def _models(models: object) -> Models:
    if not isinstance(models, Models):
        raise TypeError(f"{models!r} is not an instance of Models")
    import_module(models.module)
    return models


def _app(models: Models) -> dict[str, Any]:
    """Return Tortoise's description of the models; without migrations if their package does not exist."""
    migrations = {"migrations": models.migrations} if _spec(models.migrations) else {}
    return {"models": [models.module], **migrations}


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except ModuleNotFoundError:  # the parent does not exist, or is not a package
        return None


def _package(plugin: Plugin, name: str) -> Path:
    """Return the directory of the package ``name``, which may not exist yet."""
    for package, below in (name, ""), (name.rpartition(".")[0], name.rpartition(".")[2]):
        if package and (spec := _spec(package)) and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / below
    raise StartError(
        f"plugin {plugin.slug!r}: the migrations {name!r} must be a package, or a new one in an existing package"
    )


def _relations(fields: Iterable[object]) -> Iterator[tuple[Relation, str, str]]:
    """Yield the fields that reference other models, with the apps and the names of these models."""
    for field in fields:
        if isinstance(field, ManyToManyFieldInstance) and field._generated:  # noqa: SLF001 - Tortoise's only mark of the other side, which adds no table
            continue
        if isinstance(field, ForeignKeyFieldInstance | ManyToManyFieldInstance) and isinstance(field.model_name, str):
            app, _, model = field.model_name.rpartition(".")
            yield field, app, model


def _strange_relations(models: Models, apps: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each field that references a model of an app that the plugin does not require."""
    for model in models_of(models.module):
        for field, app, _ in _relations(meta(model).fields_map.values()):
            if app not in apps:
                yield (
                    f"{model.__name__}.{field.model_field_name} references {field.model_name}, but the plugin does not "
                    "require its distribution"
                )


async def _compare(label: str, apps: dict[str, dict[str, Any]]) -> _Comparison:
    loader = MigrationLoader(apps, _NothingApplied())
    await loader.build_graph()
    old, new = State(models={}, apps=StateApps()), State(models={}, apps=StateApps())
    columns: dict[tuple[str, str, str], MigrationKey] = {}
    for key in dict.fromkeys(key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf)):
        await loader.disk_migrations[key].apply(old, dry_run=True)
        for (app, model), state in old.models.items():
            for field in state.fields:
                columns.setdefault((app, model, field), key)
    config = {"connections": {"default": "sqlite://:memory:"}, "apps": apps}
    async with TortoiseContext() as context:
        await context.init(config, init_connections=False)
        for app, models in (context.apps or {}).items():
            for it in models.values():
                new.models[app, it.__name__] = ModelState.make_from_model(app, it)
    return _Comparison(OperationGenerator(old, new).generate([label]), loader.graph, columns)


def _fields(operation: TortoiseOperation) -> Iterator[object]:
    """Yield the fields that the operation adds or alters."""
    if isinstance(operation, CreateModel):
        yield from (field for _, field in operation.fields)
    elif isinstance(operation, AddField | AlterField):
        yield operation.field


def _across(label: str, compared: _Comparison) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield the references to columns of other apps: the names of the models, and the columns."""
    for operation in compared.operations:
        for field, app, model in _relations(_fields(operation)):
            if app != label:
                to_field = field.to_field if isinstance(field, ForeignKeyFieldInstance) else None
                key = meta(field.related_model).pk_attr
                yield f"{app}.{model}", (app, model, to_field or key)


def _impossible(label: str, compared: _Comparison) -> Iterator[str]:
    """Yield a line for each operation that no database can execute."""
    for operation in compared.operations:
        if isinstance(operation, AddField):
            field = operation.field
            if not isinstance(field, Field) or isinstance(field, ManyToManyFieldInstance):
                continue
            if not (field.null or field.generated or field.has_db_default()):
                yield (
                    f"{operation.model_name}.{operation.name}: New column is NOT NULL and has no default for existing "
                    "rows. Set db_default or null=True."
                )
    for named, column in _across(label, compared):
        if column not in compared.columns:
            yield f"no migration creates the table of {named}: write that migration first"


def _text(name: str, label: str, compared: _Comparison) -> str:
    own = compared.newest(label)
    known = {key for newest in own for key in compared.graph.forwards_plan(newest)}
    # Tortoise's own command depends on all migrations of a listed app, and on no migrations of other apps.
    others = {compared.columns[column] for _, column in _across(label, compared)} - known
    dependencies = [(key.app_label, key.name) for key in sorted({*own, *others})]
    writer = MigrationWriter(name, label, compared.operations, dependencies=dependencies, initial=None if own else True)
    summary = compared.summary
    if len(tables := compared.tables) == len(compared.operations):
        summary = f"The table{'s' if len(tables) > 1 else ''} {' and '.join(f'`{table}`' for table in tables)}"
    return f'"""{summary}."""\n\n{IMPORT.sub(_public, writer.as_string())}'


def _public(line: re.Match[str]) -> str:
    """Return the import from the package, as plugins write it, unless the package lacks a name."""
    is_public = set(line[1].split(", ")) <= set(jobbergate_server.__all__)
    return f"from jobbergate_server import {line[1]}" if is_public else line[0]
