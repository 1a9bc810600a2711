"""The names of the database tables of a plugin's models."""

from collections.abc import Iterator
from importlib import import_module

from tortoise import Model

from jobbergate_server.plugins.context import Models


def models_of(module: str) -> Iterator[type[Model]]:
    """Yield the models that ``module`` itself defines."""
    for value in vars(import_module(module)).values():
        if (
            isinstance(value, type)
            and issubclass(value, Model)
            and value.__module__ == module
            and not value._meta.abstract  # noqa: SLF001 - Tortoise's documented way to the options of a model
        ):
            yield value


def tables(models: Models) -> list[str]:
    """Return the names of the tables of ``models``, including those of many-to-many relations."""
    names: dict[str, None] = {}
    for model in models_of(models.module):
        meta = model._meta  # noqa: SLF001 - likewise
        names[meta.db_table] = None
        relations = (meta.fields_map[name] for name in sorted(meta.m2m_fields))
        # Both sides of a relation have the table, and the other side may belong to another plugin.
        between = (it.through for it in relations if not it._generated)  # type: ignore[attr-defined]  # noqa: SLF001 - Tortoise's only mark of the other side
        names |= dict.fromkeys(name for name in between if name)
    return list(names)
