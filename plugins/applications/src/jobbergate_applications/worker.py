"""The child process that parses and renders uploads: untrusted Python source, YAML and templates.

The server runs it by path with `python -I`, and kills it when it exceeds a limit. It imports nothing of the server. On
standard input and output it exchanges messages: four bytes of length, then JSON. A request names an operation and its
arguments. A response contains the `result`, or in `refused` the reason why the files are invalid.
"""

import ast
import json
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, BinaryIO, TypeVar

import jinja2
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_SECONDS = 2.0
MEMORY_BYTES = 256 * 2**20
OUTPUT_BYTES = 2 * 2**20
MAX_FILES = 100
MAX_REASON = 2_000
"""Characters of the reason in a response. An error may quote the user's files at any length."""
OPEN_FILES = 32
CACHED_TEXTS = 16
CACHED_TEXT = 16 * 1024
"""Characters of the longest text whose parsed form is cached. A hostile text takes 100 times that in memory."""
TEMPLATE_FOLDER = "templates/"
NO_MEMORY = f"Limit exceeded: the job needs more than {MEMORY_BYTES // 2**20} MiB of memory."
TOO_LONG = f"Limit exceeded: the output is larger than {OUTPUT_BYTES // 2**20} MiB."
TOO_DEEP = "Limit exceeded: the nesting is too deep."

Parsed = TypeVar("Parsed")


class Refused(Exception):
    """The user's files are invalid."""


def remembered(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """Return ``parse`` with a cache of its last results. Callers must not modify a result."""
    kept = lru_cache(CACHED_TEXTS)(parse)
    return lambda text: (kept if len(text) <= CACHED_TEXT else parse)(text)


def check(files: list[dict[str, str]]) -> list[str]:
    """Return a line for every file that does not parse as its `kind`: source, config or template."""
    parsers: Mapping[str, Callable[[str], object]] = {
        "source": lambda text: ast.parse(text.removeprefix("\ufeff")),
        "config": read_yaml,
        "template": ENVIRONMENT.parse,
    }
    lines = []
    for position, file in enumerate(files, start=1):
        try:
            parsers[file["kind"]](file["text"])
        except (MemoryError, RecursionError) as error:
            lines.append(f"{position}: {file['name']}: {TOO_DEEP if isinstance(error, RecursionError) else NO_MEMORY}")
        except Exception as error:  # noqa: BLE001 - a parser can raise any error for an invalid file
            reason = str(error).replace("\n", " ")[:MAX_REASON]
            lines.append(f"{position}: {file['name']}: {reason}")
    return lines


def validate(text: str) -> None:
    """Reject a jobbergate.yaml whose sections are missing or invalid."""
    configure(text, {})


def configure(text: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the validated sections of jobbergate.yaml, after ``overrides`` have replaced some."""
    document = read_yaml(text)
    if not isinstance(document, dict):
        raise Refused("TypeError: the document is not an object with sections application_config and jobbergate_config")
    document = {**document, **overrides}
    problems = [
        f"{name}: {'value is not a valid dict' if name in document else 'field required'}"
        for name in ("application_config", "jobbergate_config")
        if not isinstance(document.get(name), dict)
    ]
    if problems:
        raise Refused(f"ValidationError: {'; '.join(problems)}")
    return {
        "application_config": document["application_config"],
        "jobbergate_config": jobbergate_config(document["jobbergate_config"]),
    }


def jobbergate_config(section: dict[Any, Any]) -> dict[str, Any]:
    """Return the section with its known keys validated and completed. It keeps other keys."""
    names = section.get("supporting_files_output_name")
    if names is not None:
        if not isinstance(names, dict):
            raise Refused("ValidationError: supporting_files_output_name: value is not a valid dict")
        names = {
            _template(_text(key, "supporting_files_output_name")): _texts(
                value if isinstance(value, list) else [value], "supporting_files_output_name"
            )
            for key, value in names.items()
        }
    supporting = section.get("supporting_files")
    supporting = [*names] if supporting is None and names else _templates(supporting, "supporting_files")
    known = {
        "default_template": _optional(section.get("default_template"), "default_template", _template),
        "supporting_files": supporting,
        "supporting_files_output_name": names,
        "template_files": _templates(section.get("template_files"), "template_files"),
        "job_script_name": _optional(section.get("job_script_name"), "job_script_name"),
        "output_directory": _optional(section.get("output_directory", "."), "output_directory"),
    }
    return {**section, **known}


def render(config: str, overrides: dict[str, Any], templates: dict[str, str]) -> dict[str, Any]:
    """Render the main and the supporting templates of the configuration with its values."""
    try:
        sections = configure(config, overrides)
    except (Refused, yaml.YAMLError, ValueError) as error:  # YAML raises ValueError for invalid dates and numbers
        raise Refused(f"Error while parsing the config-file and/or job-script params -- {error}") from None
    jobbergate = sections["jobbergate_config"]
    main = jobbergate["default_template"]
    if main is None:
        raise Refused("Value was not defined (None): default_template")
    if main not in templates:
        available = ", ".join(sorted(templates))
        raise Refused(f"Selected template {main} not found in available templates: {available}")
    supporting = jobbergate["supporting_files_output_name"] or {}
    missing = [name for name in supporting if name not in templates]
    if missing:
        lines = "".join(f"\n  {n}: supporting_file={name!r} was not found" for n, name in enumerate(missing, start=1))
        raise Refused(f"Checked expressions failed: One or more supporting files are missing{lines}")
    if sum(len(names) for names in supporting.values()) >= MAX_FILES:
        raise Refused(f"Limit exceeded: a job script has at most {MAX_FILES} files.")
    data = {**sections["application_config"], **jobbergate}
    writer = Writer(data)
    return {
        "main_template": main,
        "main": writer.write(templates[main], "main file"),
        "output_directory": jobbergate["output_directory"] or ".",
        "supporting": [
            {"names": names, "text": writer.write(templates[name], f"supporting file {name}", len(names))}
            for name, names in supporting.items()
        ],
    }


class Writer:
    """A renderer of templates with the same values and one common limit of output."""

    def __init__(self, data: dict[Any, Any]) -> None:
        self._data = data
        self._left = OUTPUT_BYTES

    def write(self, template: str, what: str, copies: int = 1) -> str:
        """Render ``template``. The text counts ``copies`` times towards the limit of output."""
        parts = []
        try:
            for part in compiled(template).generate(data=self._data):
                self._count(part, copies)
                parts.append(part)
        except (MemoryError, RecursionError, Refused):
            raise
        except Exception as error:  # noqa: BLE001 - a template can raise any error, and its author must correct it
            raise Refused(f"Error rendering the {what} -- {type(error).__name__}: {error}") from None
        return "".join(parts)

    def _count(self, part: str, copies: int) -> None:
        if len(part) * copies <= self._left:
            self._left -= len(part.encode()) * copies
            if self._left >= 0:
                return
        raise Refused(TOO_LONG)


def environment() -> jinja2.Environment:
    """Return a sandboxed Jinja2 with default settings, without the globals that only generate output."""
    sandbox = ImmutableSandboxedEnvironment()
    for name in ("lipsum", "cycler", "joiner"):
        sandbox.globals.pop(name)
    return sandbox


ENVIRONMENT = environment()


@remembered
def compiled(template: str) -> jinja2.Template:
    """Compile a template. Rendering does not modify the result."""
    return ENVIRONMENT.from_string(template)


def read_yaml(text: str) -> Any:  # noqa: ANN401 - a document can contain any type
    """Parse a document. Reject aliases, because a few lines of them can expand beyond any memory."""
    return pickle.loads(pickled(text))  # noqa: S301 - this process pickled it, from plain data


@remembered
def pickled(text: str) -> bytes:
    """Return the YAML document in a form that is quick to copy, because callers may modify it."""
    # An alias needs an asterisk, and few documents contain one.
    if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
        raise Refused("aliases are not allowed in YAML")
    return pickle.dumps(yaml.load(text, Loader=yaml.CSafeLoader))


def _text(value: object, key: str) -> str:
    if not isinstance(value, str | int | float):
        raise Refused(f"ValidationError: {key}: str type expected")
    return str(value)


def _texts(values: object, key: str) -> list[str]:
    if not isinstance(values, list):
        raise Refused(f"ValidationError: {key}: value is not a valid list")
    return [_text(value, key) for value in values]


def _templates(values: object, key: str) -> list[str] | None:
    return None if values is None else [_template(text) for text in _texts(values, key)]


def _optional(value: object, key: str, convert: Callable[[str], str] = str) -> str | None:
    return None if value is None else convert(_text(value, key))


def _template(name: str) -> str:
    return name.removeprefix(TEMPLATE_FOLDER)


OPERATIONS: Mapping[str, Callable[..., Any]] = {"check": check, "validate": validate, "render": render}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of an operation, or the reason why the files are invalid."""
    try:
        return {"result": OPERATIONS[request["operation"]](**request["arguments"])}
    except RecursionError:
        reason = TOO_DEEP
    except MemoryError:
        reason = NO_MEMORY
    except (Refused, yaml.YAMLError, ValueError) as error:
        reason = str(error)
    return {"refused": reason[:MAX_REASON]}


def messages(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the requests until the server closes the pipe."""
    while length := stream.read(4):
        yield json.loads(stream.read(int.from_bytes(length)))


def main() -> None:
    """Respond to requests, each within its own limit of CPU time."""
    # Service managers and terminals also signal the server's children, while the server still waits for their results.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    for request in messages(sys.stdin.buffer):
        # SIGPROF ends the process. The server recognises it by the exit status.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        # An error may quote a lone surrogate, which JSON can only contain as an escape.
        content = json.dumps(answer(request), ensure_ascii=False).encode(errors="backslashreplace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(len(content).to_bytes(4) + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
