"""Columns that reference stored files."""

from collections.abc import Iterable
from typing import Any

from tortoise import Model, fields

from jobbergate_server.database.meta import meta

DIGEST_LENGTH = 64
"""Characters of a SHA-256 in hexadecimal."""


class FileField(fields.CharField[str]):
    """A column that references a stored file, by the digest that `Files.put` returns."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Tortoise's options
        super().__init__(**{**options, "max_length": DIGEST_LENGTH})


async def used_digests(models: Iterable[type[Model]]) -> set[str]:
    """Return the digests that the rows of ``models`` reference."""
    used: set[str] = set()
    for model in models:
        for name, field in meta(model).fields_map.items():
            if isinstance(field, FileField):
                used.update(await model.all().distinct().values_list(name, flat=True))  # type: ignore[arg-type]  # as text
    return used
