"""The reference pages of the documentation, generated from the code that they describe.

`python -m jobbergate_devkit.reference.pages FOLDER` writes them; `make reference` writes them to `docs/reference`.
"""

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

import jobbergate_server
from jobbergate_devkit.reference.settings_file import toml_value
from jobbergate_server import MOUNT, Permission, errors, fields
from jobbergate_server.auth.permissions import Access
from jobbergate_server.openapi import ERRORS, PROBLEM
from jobbergate_server.plugins import hookspecs
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.entry_points import command_entries
from jobbergate_server.plugins.registry import HOOKS, Plugins
from jobbergate_server.settings import Settings, environment_name, subtable

WIDTH = 100
MADE = "<!-- Written by `make reference` from the code. Do not edit. -->"
CONSTANTS: Mapping[str, str] = {
    "AUTHENTICATED": "The `permission` of a route that requires a valid token and no permission.",
    "BODY": "`request[BODY]`: the JSON body, loaded by the schema of `json_schema`.",
    "CLIENT_ID_LENGTH": "Maximum number of characters in a client id; use it as the length of a column.",
    "DATABASE": "`request.app[DATABASE]`: the database.",
    "EMAIL_LENGTH": "Maximum number of characters in an e-mail address; use it as the length of a column.",
    "EVENTS": "`request.app[EVENTS]`: the event types that the plugins have registered, by name.",
    "FILES": "`request.app[FILES]`: the file store, a `Files`.",
    "FORM": "`request[FORM]`: the form with its files, loaded by the schema of `form_schema`.",
    "HEADERS": "`request[HEADERS]`: the headers, loaded by the schema of `headers_schema`.",
    "IDENTITY": "`request[IDENTITY]`: the caller, with `subject`, `permissions`, `email`, "
    "`client_id` and `organization`.",
    "PATH": "`request[PATH]`: the parameters of the path, loaded by the schema of `match_info_schema`.",
    "PUBLIC": "The `permission` of a route that requires no token.",
    "QUERY": "`request[QUERY]`: the query, loaded by the schema of `querystring_schema`.",
    "Statistics": "The type of the argument `statistics` of `lifespan`: a function that returns numbers by name.",
    "__version__": "The version of the server.",
    "fields": "The module of the [fields of schemas](#fields-of-schemas).",
    "hookimpl": "The decorator of a function that implements the hook with the same name.",
}
"""The meanings of public names without a docstring."""
FIELDS = ("Text", "Integer", "Boolean", "Choice", "Literal", "Path", "Timestamp", "List", "Object", "Nested")
"""The fields of schemas."""
KIT = ("__init__", "databases", "conformance")
"""The modules of the test kit with names for authors of plugins."""
WITH_METHODS = frozenset({"Files", "PluginContext", "FieldError"})
"""The classes whose methods plugins call. The server calls those of all other classes."""


def pages() -> dict[str, str]:
    """Return the text of each page, by the name of its file, for the plugins of this environment.

    Raises:
        StartError: A plugin failed.
    """
    settings = Settings.model_construct()
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    made = {
        "plugins.md": _hooks(),
        "python.md": _names(),
        "settings.md": _settings(contributions),
        "permissions.md": _permissions(contributions),
        "events.md": _events(contributions),
        "commands.md": _commands(contributions),
        "errors.md": _errors(),
        "testing.md": _testing(),
    }
    return {name: _joined([MADE, "", *lines]) for name, lines in made.items()}


def write(folder: Path) -> None:
    """Write the pages into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def api_errors() -> list[type[errors.ApiError]]:
    """Return the errors that a handler can raise, sorted by status."""
    found = [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.ApiError)]
    return sorted((it for it in found if it is not errors.ApiError), key=lambda it: (it.status, it.__name__))


def settings_tables(contributions: Iterable[Contribution]) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield the tables of settings, including nested ones, with their paths."""
    for name, field in Settings.model_fields.items():
        if (table := subtable(field)) is not None:
            yield from _tables(table, name)
    for it in contributions:
        if it.section.model_fields:
            yield from _tables(it.section, "plugins", it.plugin.slug)


def all_commands(contributions: Iterable[Contribution]) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of the server and of the plugins, with their names."""
    yield from _commands_in({name: entry.load() for name, entry in command_entries().items()})
    for it in contributions:
        if it.commands:
            yield from ((f"{it.plugin.slug} {command.name}", command) for command in it.commands)


def _joined(lines: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _hooks() -> Iterator[str]:
    yield from ("# Hooks", "", *_text(hookspecs.__doc__))
    yield from ("", "The names of the types are explained in [Python names](python.md).", "")
    yield from ("```python", "from jobbergate_server import hookimpl", "```")
    for name in HOOKS:
        hook = getattr(hookspecs, name)
        yield from ("", f"## `{name}`", "", "```{ .python .signature }", *_signature(_definition(hook)), "```", "")
        yield from _text(hook.__doc__)


def _names() -> Iterator[str]:
    names = [name for name in jobbergate_server.__all__ if name not in CONSTANTS]
    values = {name: getattr(jobbergate_server, name) for name in names}
    exceptions = {it.__name__ for it in (*api_errors(), errors.ApiError)}
    yield from ("# Python names", "", "A plugin imports all names from the package `jobbergate_server`.", "")
    yield from ("The errors that a handler raises are in [Errors](errors.md).", "", "## Constants", "")
    yield from ("| Name | Meaning |", "|---|---|")
    yield from (f"| `{name}` | {_cell(CONSTANTS[name])} |" for name in jobbergate_server.__all__ if name in CONSTANTS)
    yield from ("", "## Functions")
    for name, value in values.items():
        if not isinstance(value, type):
            yield from _entry(name, value)
    yield from ("", "## Classes")
    for name, value in values.items():
        if isinstance(value, type) and name not in exceptions:
            yield from _entry(name, value)
    yield from ("", "## Fields of schemas", "", *_text(fields.__doc__), "", "| Field | Value |", "|---|---|")
    yield from (f"| `fields.{name}` | {_cell(inspect.getdoc(getattr(fields, name)) or '')} |" for name in FIELDS)


def _entry(name: str, value: object) -> Iterator[str]:
    node = _definition(value)
    lines = _signature(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else _class(node)
    yield from ("", f"### `{name}`", "", "```{ .python .signature }", *lines, "```", "", *_text(inspect.getdoc(value)))
    if isinstance(node, ast.ClassDef) and name in WITH_METHODS:
        methods = [it for it in node.body if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)]
        for method in methods:
            if not method.name.startswith("_") and (text := ast.get_docstring(method)):
                yield from ("", "```{ .python .signature }", *_signature(method), "```", "", *_text(text))


def _settings(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Settings", "")
    yield "Settings are in a TOML file (`--config`) and in environment variables. A variable overrides the file, and a"
    yield "list in a variable is JSON. An unknown key is an error. — means that a setting has no default."
    for path, model in settings_tables(contributions):
        yield from ("", f"## `{'.'.join(path)}`", "", *_text(model.__doc__), "")
        yield from ("| Setting | Default | Environment variable | Meaning |", "|---|---|---|---|")
        for name, field in model.model_fields.items():
            if subtable(field) is None:
                default = "—" if (text := toml_value(field)) is None else f"`{text}`"
                variable = environment_name(*path, name)
                yield f"| `{name}` | {default} | `{variable}` | {_cell(field.description or '')} |"


def _permissions(contributions: Iterable[Contribution]) -> Iterator[str]:
    contributions = list(contributions)
    yield from ("# Permissions", "")
    yield "The claim `permissions` of a token is a list of the permissions of its bearer."
    yield "For other tokens, set [`oidc.permissions_claim` or `oidc.roles`](settings.md#oidc)."
    yield "`jobbergate-server audit` prints the routes of an installation with all its plugins."
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
    yield from ("", "## Routes without a permission", "", "| Python name | Allowed callers |", "|---|---|")
    yield from (f"| `{access.name}` | {access.value} |" for access in Access)


def _events(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Events", "")
    yield "Each change emits an event. Plugins receive it in the hooks [`before_commit`](plugins.md#before_commit) and"
    yield "[`on_event`](plugins.md#on_event). [Webhooks](../howto/webhooks.md) notify other programs of it."
    yield from ("", "| Event | Meaning | Plugin |", "|---|---|---|")
    for it in contributions:
        yield from (f"| `{event.name}` | {_cell(event.description)} | {it.plugin.slug} |" for event in it.events)


def _commands(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Commands", "", "Each command has the option `--help`.")
    for name, command in all_commands(contributions):
        usage = " ".join(param.make_metavar(click.Context(command)) for param in _arguments(command))
        yield from ("", f"## `{f'{name} {usage}'.rstrip()}`", "", *_text(command.help), "")
        options = [it for it in command.params if isinstance(it, click.Option)]
        if options:
            yield from ("| Option | Meaning |", "|---|---|")
        yield from (f"| {_option(option, command)} | {_cell(option.help or '')} |" for option in options)


def _errors() -> Iterator[str]:
    yield from ("# Errors", "")
    yield "An error response has the status of the error and a JSON object. Its `detail` is the error message:"
    yield from ("", "```json", json.dumps({"detail": ERRORS["401"][3]}), "```", "")
    yield "A response with status 422 lists all invalid values. `loc` is the location of a value, `msg` is a message"
    yield "for people, `type` is for programs, and the optional `ctx` has the values in the message:"
    yield from ("", "```json", json.dumps({"detail": [PROBLEM]}, indent=2), "```", "")
    yield "After an internal error, the server responds 500 and logs the error."
    yield from ("", "## Errors of handlers", "", "The package `jobbergate_server` has all errors that plugins raise.")
    yield from ("The transaction of the request is rolled back.", "", "| Error | Status | Meaning |", "|---|---|---|")
    for error in api_errors():
        text = _cell(error.__doc__ or "")
        core = "" if error.__name__ in jobbergate_server.__all__ else " Only the core raises it."
        yield f"| `{error.__name__}` | {error.status} | {text}{core} |"
    yield from (
        "",
        "A row that conflicts with another row (`tortoise.exceptions.IntegrityError`) results in status 409.",
    )
    yield from ("", "### `ApiError`", "", "```{ .python .signature }", *_class(_definition(errors.ApiError)), "```", "")
    yield from _text(errors.ApiError.__doc__)
    yield from (
        "",
        "### `Problem`",
        "",
        "```{ .python .signature }",
        *_class(_definition(errors.FieldError)),
        "```",
        "",
    )
    yield from _text(errors.FieldError.__doc__)
    yield from ("", "## By status", "", "| Status | Meaning | Example of `detail` |", "|---|---|---|")
    for status, (_, description, _, example) in ERRORS.items():
        yield f"| {status} | {_cell(description)} | `{_cell(json.dumps(example))}` |"


def kit() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the definitions of the test kit by name, from its source: an import would need packages of tests."""
    sources = (files("jobbergate_server") / "testing" / f"{name}.py" for name in KIT)
    nodes = [node for source in sources for node in ast.parse(source.read_text("utf-8")).body]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name: node for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")}


def is_fixture(node: ast.AST) -> bool:
    """Return whether the definition is a pytest fixture."""
    return any("pytest.fixture" in ast.unparse(it) for it in getattr(node, "decorator_list", []))


def _testing() -> Iterator[str]:
    defined = kit()
    yield from (
        "# Test kit",
        "",
        "The fixtures and tests for plugins: see [Test a plugin](../howto/test-a-plugin.md).",
    )
    yield from ("The package is `jobbergate_devkit.testing`.", "", "## Fixtures")
    for name, node in defined.items():
        if is_fixture(node):
            yield from ("", f"### `{name}`", "", *_text(ast.get_docstring(node)))
    yield from ("", "## Servers", "")
    yield from ("This is the signature of `make_app`, which returns a `Served`:", "", "```{ .python .signature }")
    yield from (*_signature(_method(defined["MakeApp"], "__call__")), "```")
    yield from ("", "### `Served`", "", *_text(ast.get_docstring(defined["Served"])))
    for name in ("client_as", "client", "token"):
        method = _method(defined["Served"], name)
        yield from ("", "```{ .python .signature }", *_signature(method), "```", "", *_text(ast.get_docstring(method)))
    yield from ("", "## Conformance", "", "```{ .python .signature }", *_signature(defined["conformance"]), "```", "")
    yield from (*_text(ast.get_docstring(defined["conformance"])), "", "| Test | Promise |", "|---|---|")
    for it in defined["Conformance"].body:
        if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) and it.name.startswith("test_"):
            yield f"| `{it.name}` | {_cell(ast.get_docstring(it) or '')} |"


def _method(node: ast.AST, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    methods = (it for it in ast.walk(node) if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef))
    return next(it for it in methods if it.name == name)


def _tables(model: type[BaseModel], *path: str) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        if (table := subtable(field)) is not None:
            yield from _tables(table, *path, name)


def _commands_in(commands: Mapping[str, click.Command], *path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in commands.items():
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from _commands_in(command.commands, *path, name)


def _arguments(command: click.Command) -> list[click.Parameter]:
    return [it for it in command.params if isinstance(it, click.Argument)]


def _option(option: click.Option, command: click.Command) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} `{option.make_metavar(click.Context(command))}`"


def _definition(value: Any) -> ast.AST:  # noqa: ANN401 - a function or a class
    """Return the definition of a function or a class in its source."""
    value = inspect.unwrap(value) if not isinstance(value, type) else value
    tree = ast.parse(inspect.getsource(sys.modules[value.__module__]))
    return next(node for node in tree.body if getattr(node, "name", None) == value.__name__)


def _signature(node: Any) -> list[str]:  # noqa: ANN401 - a definition of either kind
    before = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    if any(ast.unparse(it) == "property" for it in node.decorator_list):
        before = f"@property\n{before}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{before} {node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= WIDTH:
        return line.split("\n")
    return [f"{before} {node.name}(", *(f"    {part}," for part in _parts(ast.unparse(node.args))), f"){returns}"]


def _parts(arguments: str) -> Iterator[str]:
    """Yield the arguments; a comma in brackets or quotes separates no arguments.

    >>> list(_parts("self, rows: dict[str, int], *, key: str=','"))
    ['self', 'rows: dict[str, int]', '*', "key: str=','"]
    """
    depth, part = 0, ""
    for char in f"{arguments}, ":
        depth += (char in "[(") - (char in "])")
        if char == "," and not depth and part.count("'") % 2 == 0:
            yield part.strip()
            part = ""
        else:
            part += char


def _class(node: Any) -> list[str]:  # noqa: ANN401 - the definition of a class
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    if bases in {"", "NamedTuple"}:  # the attributes of other classes are for their base classes
        lines += [f"    {ast.unparse(it)}" for it in node.body if isinstance(it, ast.AnnAssign)]
    for it in node.body:
        if isinstance(it, ast.FunctionDef) and it.name == "__init__":
            lines += [f"    {line}" for line in _signature(it)]
    return lines


def _text(docstring: str | None) -> list[str]:
    """Return the docstring as Markdown, with its errors as a list."""
    text, _, raised = cleandoc(docstring or "").replace("``", "`").partition("\nRaises:\n")
    lines = re.sub(r"^>>> (?:.+\n?)+", _fenced, text, flags=re.MULTILINE).rstrip().split("\n")
    if raised:
        found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", raised, re.MULTILINE)
        lines += ["", "Raises:", "", *(f"- `{name}`: {' '.join(words.split())}" for name, words in found)]
    return lines


def _fenced(example: re.Match[str]) -> str:
    return f"```python\n{example[0].rstrip()}\n```\n"


def _cell(text: str) -> str:
    """Return the first paragraph as the cell of a table."""
    paragraph = cleandoc(text).split("\n\n")[0].replace("``", "`").replace("|", "\\|")
    return " ".join(paragraph.split())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
