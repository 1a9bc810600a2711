"""The models of a plugin, and their tables."""

from collections.abc import Iterator
from importlib import import_module

from tortoise import Model

from jobbergate_server.database import meta
from jobbergate_server.plugins.context import Models


def models_of(module: str) -> Iterator[type[Model]]:
    """Yield the models that ``module`` itself defines."""
    for value in vars(import_module(module)).values():
        if (
            isinstance(value, type)
            and issubclass(value, Model)
            and value.__module__ == module
            and not meta.meta(value).abstract
        ):
            yield value


def tables(models: Models) -> list[str]:
    """Return the names of the tables of ``models``, each once."""
    return list(dict.fromkeys(table for model in models_of(models.module) for table in meta.tables(model)))
