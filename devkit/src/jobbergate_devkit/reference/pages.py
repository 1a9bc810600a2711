"""The reference pages of the documentation, written from the code that they describe.

`python -m jobbergate_server.manual FOLDER` writes them; `make reference` keeps them in `docs/reference`.
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
MADE = "<!-- Written by `make reference`; what it says stands in the code. -->"
CONSTANTS: Mapping[str, str] = {
    "AUTHENTICATED": "The `permission` of a route that asks for a valid token and for nothing more.",
    "BODY": "`request[BODY]`: the JSON body, as the schema of `json_schema` has loaded it.",
    "CLIENT_ID_LENGTH": "Characters that a client id may have, as the length of a column.",
    "DATABASE": "`request.app[DATABASE]`: the database.",
    "EMAIL_LENGTH": "Characters that an e-mail address may have, as the length of a column.",
    "EVENTS": "`request.app[EVENTS]`: the kinds of events that the plugins have registered, by name.",
    "FILES": "`request.app[FILES]`: the file store, a `Files`.",
    "FORM": "`request[FORM]`: the form with its files, as the schema of `form_schema` has loaded it.",
    "HEADERS": "`request[HEADERS]`: the headers, as the schema of `headers_schema` has loaded them.",
    "IDENTITY": "`request[IDENTITY]`: whom the token was issued to, with `subject`, `permissions`, `email`, "
    "`client_id` and `organization`.",
    "PATH": "`request[PATH]`: the parameters of the path, as the schema of `match_info_schema` has loaded them.",
    "PUBLIC": "The `permission` of a route that everybody may call without a token.",
    "QUERY": "`request[QUERY]`: the query, as the schema of `querystring_schema` has loaded it.",
    "Statistics": "What `lifespan` gets as `statistics`: a function that answers numbers by name.",
    "__version__": "The version of the server.",
    "fields": "The module of the [fields of schemas](#fields-of-schemas).",
    "hookimpl": "The decorator that makes a function the implementation of the hook of its name.",
}
"""What the public names mean that have no docstring of their own."""
FIELDS = ("Text", "Integer", "Boolean", "Choice", "Literal", "Path", "Timestamp", "List", "Object", "Nested")
"""The fields that a schema is made of."""
KIT = ("__init__", "databases", "conformance")
"""The modules of the test kit whose names are for authors."""
WITH_METHODS = frozenset({"Files", "PluginContext", "FieldError"})
"""The classes whose methods plugins call; those of others are the server's."""


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file, for the plugins of this environment.

    Raises:
        StartError: A plugin cannot say what it brings.
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
    """The errors that a handler can raise, by status."""
    found = [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.ApiError)]
    return sorted((it for it in found if it is not errors.ApiError), key=lambda it: (it.status, it.__name__))


def settings_tables(contributions: Iterable[Contribution]) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """The tables of settings with their paths, those in others too."""
    for name, field in Settings.model_fields.items():
        if (table := subtable(field)) is not None:
            yield from _tables(table, name)
    for it in contributions:
        if it.section.model_fields:
            yield from _tables(it.section, "plugins", it.plugin.slug)


def all_commands(contributions: Iterable[Contribution]) -> Iterator[tuple[str, click.Command]]:
    """The commands with their names, of the server and of the plugins."""
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
    yield from ("# Python names", "", "Everything that a plugin imports is in the package `jobbergate_server`.", "")
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
    yield "Settings come from a TOML file (`--config`) and from environment variables, which win. A list is JSON there."
    yield "A key that does not exist is an error. A setting without a default is shown with —."
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
    yield "A token names in its claim `permissions`, a list of texts, what its bearer may do."
    yield "The settings [`oidc.permissions_claim` and `oidc.roles`](settings.md#oidc) suit other tokens."
    yield "`jobbergate-server audit` prints the routes of a site, with those of its own plugins."
    yield from ("", "| Permission | What it allows | Plugin |", "|---|---|---|")
    for it in contributions:
        for permission in it.permissions:
            yield f"| `{permission.name}` | {_cell(permission.description)} | {it.plugin.slug} |"
    yield from ("", "## Routes", "", "| Route | Permission |", "|---|---|")
    for it in contributions:
        for route in it.routes:
            allowed = route.permission
            needed = f"`{allowed.name}`" if isinstance(allowed, Permission) else allowed.value
            yield f"| `{route.method} {MOUNT}{route.location(it.plugin.slug)}` | {needed} |"
    yield from ("", "## Routes without a permission", "", "| Python name | Who may call |", "|---|---|")
    yield from (f"| `{access.name}` | {access.value} |" for access in Access)


def _events(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Events", "")
    yield "What requests have done. Plugins are told of it by the hooks [`before_commit`](plugins.md#before_commit) and"
    yield "[`on_event`](plugins.md#on_event), and other programs by [webhooks](../howto/webhooks.md)."
    yield from ("", "| Event | What has happened | Plugin |", "|---|---|---|")
    for it in contributions:
        yield from (f"| `{event.name}` | {_cell(event.description)} | {it.plugin.slug} |" for event in it.events)


def _commands(contributions: Iterable[Contribution]) -> Iterator[str]:
    yield from ("# Commands", "", "Each takes `--help`.")
    for name, command in all_commands(contributions):
        usage = " ".join(param.make_metavar(click.Context(command)) for param in _arguments(command))
        yield from ("", f"## `{f'{name} {usage}'.rstrip()}`", "", *_text(command.help), "")
        options = [it for it in command.params if isinstance(it, click.Option)]
        if options:
            yield from ("| Option | Meaning |", "|---|---|")
        yield from (f"| {_option(option, command)} | {_cell(option.help or '')} |" for option in options)


def _errors() -> Iterator[str]:
    yield from ("# Errors", "")
    yield "An error is answered with its status and a JSON object whose `detail` says in words what is wrong:"
    yield from ("", "```json", json.dumps({"detail": ERRORS["401"][3]}), "```", "")
    yield "Values that are not valid are all told at once, with status 422. `loc` is where a value stands, `msg` is for"
    yield "people, `type` for programs, and `ctx`, where there is one, has the numbers of the text:"
    yield from ("", "```json", json.dumps({"detail": [PROBLEM]}, indent=2), "```", "")
    yield "A failure of the server itself is answered 500 and written to the log."
    yield from ("", "## What a handler raises", "", "Each is in `jobbergate_server`, unless only the core raises it.")
    yield from ("The transaction of the request is rolled back.", "", "| Error | Status | Meaning |", "|---|---|---|")
    for error in api_errors():
        text = _cell(error.__doc__ or "")
        core = "" if error.__name__ in jobbergate_server.__all__ else " Raised by the core alone."
        yield f"| `{error.__name__}` | {error.status} | {text}{core} |"
    yield from ("", "A row that contradicts another one (`tortoise.exceptions.IntegrityError`) is answered 409.")
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
    """What the test kit defines, by name; it is read and not imported, because it needs what only tests have."""
    sources = (files("jobbergate_server") / "testing" / f"{name}.py" for name in KIT)
    nodes = [node for source in sources for node in ast.parse(source.read_text("utf-8")).body]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name: node for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")}


def is_fixture(node: ast.AST) -> bool:
    """Whether the definition is that of a fixture of pytest."""
    return any("pytest.fixture" in ast.unparse(it) for it in getattr(node, "decorator_list", []))


def _testing() -> Iterator[str]:
    defined = kit()
    yield from (
        "# Test kit",
        "",
        "What the tests of a plugin use; [Test a plugin](../howto/test-a-plugin.md) shows how.",
    )
    yield from ("All of it is in `jobbergate_devkit.testing`.", "", "## Fixtures")
    for name, node in defined.items():
        if is_fixture(node):
            yield from ("", f"### `{name}`", "", *_text(ast.get_docstring(node)))
    yield from ("", "## Servers", "")
    yield from ("`make_app` is called as this, and its answer is a `Served`:", "", "```{ .python .signature }")
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
    """The definition of a function or of a class in its source."""
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
    """The arguments one by one: a comma in brackets divides none.

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
    if bases in {"", "NamedTuple"}:  # what others have there is for the libraries that they derive from
        lines += [f"    {ast.unparse(it)}" for it in node.body if isinstance(it, ast.AnnAssign)]
    for it in node.body:
        if isinstance(it, ast.FunctionDef) and it.name == "__init__":
            lines += [f"    {line}" for line in _signature(it)]
    return lines


def _text(docstring: str | None) -> list[str]:
    """The docstring as Markdown, with what it says of errors as a list."""
    text, _, raised = cleandoc(docstring or "").replace("``", "`").partition("\nRaises:\n")
    lines = re.sub(r"^>>> (?:.+\n?)+", _fenced, text, flags=re.MULTILINE).rstrip().split("\n")
    if raised:
        found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", raised, re.MULTILINE)
        lines += ["", "Raises:", "", *(f"- `{name}`: {' '.join(words.split())}" for name, words in found)]
    return lines


def _fenced(example: re.Match[str]) -> str:
    return f"```python\n{example[0].rstrip()}\n```\n"


def _cell(text: str) -> str:
    """The first paragraph as the cell of a table."""
    paragraph = cleandoc(text).split("\n\n")[0].replace("``", "`").replace("|", "\\|")
    return " ".join(paragraph.split())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
