"""Generators of those reference pages that mkdocstrings and mkdocs-click cannot write.

`python -m jobbergate_devkit.reference.pages FOLDER` writes them. `make reference` writes them to `docs/reference`.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path

from pydantic import BaseModel

import jobbergate_server
from jobbergate_devkit.reference.settings_file import toml_value
from jobbergate_server import MOUNT, errors
from jobbergate_server.auth.permissions import Access, Permission
from jobbergate_server.openapi import ERRORS, PROBLEM
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Settings, environment_name, subtable

MADE = "<!-- Written by `make reference` from the code. Do not edit. -->"


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file, for the plugins of this environment.

    Raises:
        StartError: A plugin fails to load.
    """
    settings = Settings.model_construct()
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    made = {
        "settings.md": _settings(contributions),
        "permissions.md": _permissions(contributions),
        "events.md": _events(contributions),
        "errors.md": _errors(),
    }
    return {name: "\n".join([MADE, "", *lines]) + "\n" for name, lines in made.items()}


def write(folder: Path) -> None:
    """Write the pages into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def api_errors() -> list[type[errors.ApiError]]:
    """Return the errors that a handler can raise, by status."""
    found = [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.ApiError)]
    return sorted((it for it in found if it is not errors.ApiError), key=lambda it: (it.status, it.__name__))


def settings_tables(contributions: Iterable[Contribution]) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield the tables of settings with their paths, including tables in tables."""
    for name, field in Settings.model_fields.items():
        if (table := subtable(field)) is not None:
            yield from _tables(table, name)
    for it in contributions:
        if it.section.model_fields:
            yield from _tables(it.section, "plugins", it.plugin.slug)


def _tables(model: type[BaseModel], *path: str) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        if (table := subtable(field)) is not None:
            yield from _tables(table, *path, name)


def _settings(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Settings", "")
    yield "The server reads settings from a TOML file (`--config`) and from environment variables."
    yield "Environment variables override the file, and contain lists as JSON. The server rejects an unknown key."
    yield "— means that a setting has no default."
    for path, model in settings_tables(contributions):
        yield from ("", f"## `{'.'.join(path)}`", "", _text(model.__doc__), "")
        yield from ("| Setting | Default | Environment variable | Meaning |", "|---|---|---|---|")
        for name, field in model.model_fields.items():
            if subtable(field) is None:
                default = "—" if (item := toml_value(field)) is None else f"`{item.as_string()}`"
                variable = environment_name(*path, name)
                yield f"| `{name}` | {default} | `{variable}` | {_cell(field.description)} |"


def _permissions(contributions: Iterable[Contribution]) -> Iterator[str]:
    contributions = list(contributions)
    yield from ("# Permissions", "")
    yield "The claim `permissions` of a token lists what its bearer may do. The settings"
    yield "[`oidc.permissions_claim` and `oidc.roles`](settings.md#oidc) adapt the server to other tokens."
    yield "`jobbergate-server audit` prints all routes of an installation, including those of its own plugins."
    yield from ("", "| Permission | Allows | Plugin |", "|---|---|---|")
    for it in contributions:
        for permission in it.permissions:
            yield f"| `{permission.name}` | {_cell(permission.description)} | {it.plugin.slug} |"
    yield from ("", "## Routes", "", "| Route | Permission |", "|---|---|")
    for it in contributions:
        for route in it.routes:
            allowed = route.permission
            needed = f"`{allowed.name}`" if isinstance(allowed, Permission) else allowed.value
            yield f"| `{route.method} {MOUNT}{route.location(it.plugin.slug)}` | {needed} |"
    yield from ("", "## Routes without a permission", "", "| Python name | Callers |", "|---|---|")
    yield from (f"| `{access.name}` | {access.value} |" for access in Access)


def _events(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Events", "")
    yield "Plugins react to events in the hooks"
    yield "[`before_commit`](plugins.md#jobbergate_server.plugins.hookspecs.before_commit) and"
    yield "[`on_event`](plugins.md#jobbergate_server.plugins.hookspecs.on_event)."
    yield "[Webhooks](../howto/webhooks.md) notify other programs."
    yield from ("", "| Event | Meaning | Plugin |", "|---|---|---|")
    for it in contributions:
        yield from (f"| `{event.name}` | {_cell(event.description)} | {it.plugin.slug} |" for event in it.events)


def _errors() -> Iterator[str]:
    yield from ("# Errors", "", "The response to a failed request is a JSON object. Its `detail` describes the error:")
    yield from ("", "```json", json.dumps({"detail": ERRORS["401"][3]}), "```", "")
    yield "A response with status 422 lists all invalid values. `loc` locates the value, `msg` is for people, and"
    yield "`type` is for programs. `ctx`, if present, contains the values in the text:"
    yield from ("", "```json", json.dumps({"detail": [PROBLEM]}, indent=2), "```", "")
    yield "The response to an internal error has status 500. The server logs the error."
    yield from ("", "## Errors that a handler raises", "")
    yield "Plugins import them from `jobbergate_server`. An error rolls back the transaction of the request."
    yield "They derive from [`ApiError`](python.md#jobbergate_server.ApiError)."
    yield "A [`FieldError`](python.md#jobbergate_server.FieldError) describes one invalid value."
    yield from ("", "| Error | Status | Meaning |", "|---|---|---|")
    for error in api_errors():
        core = "" if error.__name__ in jobbergate_server.__all__ else " Only the core raises it."
        yield f"| `{error.__name__}` | {error.status} | {_cell(error.__doc__)}{core} |"
    yield from ("", "If a row conflicts with another row (`tortoise.exceptions.IntegrityError`), the status is 409.")
    yield from ("", "## By status", "", "| Status | Meaning | Example of `detail` |", "|---|---|---|")
    for status, (_, description, _, example) in ERRORS.items():
        yield f"| {status} | {_cell(description)} | `{_cell(json.dumps(example))}` |"


def _text(docstring: str | None) -> str:
    return cleandoc(docstring or "").replace("``", "`")


def _cell(text: str | None) -> str:
    """Return the first paragraph as a cell of a table."""
    return " ".join(_text(text).split("\n\n")[0].replace("|", "\\|").split())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
