"""The database tables that a plugin's models stand for."""

from collections.abc import Iterator
from importlib import import_module

from tortoise import Model

from jobbergate_server.plugins.context import Models


def models_of(module: str) -> Iterator[type[Model]]:
    """The models that ``module`` itself defines."""
    for value in vars(import_module(module)).values():
        if (
            isinstance(value, type)
            and issubclass(value, Model)
            and value.__module__ == module
            and not value._meta.abstract  # noqa: SLF001 - Tortoise's documented way to the options of a model
        ):
            yield value


def tables(models: Models) -> list[str]:
    """The names of the tables of ``models``, also of those that stand between two of them and have a name."""
    names: dict[str, None] = {}
    for model in models_of(models.module):
        meta = model._meta  # noqa: SLF001 - likewise
        names[meta.db_table] = None
        relations = (meta.fields_map[name] for name in sorted(meta.m2m_fields))
        # The other side of a relation has it too, and may be another plugin's.
        between = (it.through for it in relations if not it._generated)  # type: ignore[attr-defined]  # noqa: SLF001 - what Tortoise keeps of the sides
        names |= dict.fromkeys(name for name in between if name)
    return list(names)
