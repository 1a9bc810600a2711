"""Rendering of a job script from an application: its files, their paths and additional `#SBATCH` lines."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from jobbergate_applications.api import Contents, Sandbox, confined_path, render
from jobbergate_job_scripts.storage import Texts
from jobbergate_server import Unprocessable

MARKER = "#SBATCH"
SHEBANG = "#!"
SUFFIXES = (".jinja2", ".j2")


async def render_script(
    sandbox: Sandbox, contents: Contents, overrides: Mapping[str, Any], sbatch_params: Sequence[str]
) -> Texts:
    """Render the files of a job script from ``contents``, with ``overrides`` of their configuration.

    Raises:
        Unprocessable: The application, a value or a path is invalid.
    """
    rendered = await render(sandbox, contents, overrides)
    main = _path(rendered.output_directory, _without_suffix(rendered.main_template))
    files = {main: with_params(rendered.main, sbatch_params)}
    for supporting in rendered.supporting:
        files |= {_path(rendered.output_directory, name): supporting.text for name in supporting.names}
    return Texts(main, files)


def with_params(script: str, params: Sequence[str]) -> str:
    """Return the script with a `#SBATCH` line for each of ``params``.

    The lines follow the first `#SBATCH` line. They precede it if it is the last line and has no line break. In a script
    without `#SBATCH` they follow the shebang, or begin the script.

    Raises:
        Unprocessable: A parameter contains a line break or NUL.
    """
    if any(char in param for param in params for char in "\0\n\r"):
        raise Unprocessable("sbatch_params: a parameter must not contain a line break or NUL")
    lines = "".join(f"{MARKER} {param}\n" for param in params)
    if not lines:
        return script
    first = script.find(MARKER)
    if first < 0:
        at = _line_end(script, 0) if script.startswith(SHEBANG) else 0
        if at and not script[:at].endswith("\n"):
            return f"{script}\n{lines}"
    else:
        at = _line_end(script, first)
        if not script[:at].endswith("\n"):
            at = script.rfind("\n", 0, first) + 1
    return script[:at] + lines + script[at:]


def _line_end(text: str, position: int) -> int:
    """Return the end of the line at ``position``, after its line break."""
    return text.find("\n", position) + 1 or len(text)


def _without_suffix(template: str) -> str:
    for suffix in SUFFIXES:
        if template.endswith(suffix):
            return template.removesuffix(suffix)
    return template


def _path(directory: str, name: str) -> str:
    # Without a name, the path would be the directory itself.
    if not PurePosixPath(name).parts:
        raise Unprocessable(f"Invalid path of a file: {name!r} must name a file")
    try:
        return confined_path(name if name.startswith("/") else f"{directory}/{name}")
    except ValueError as error:
        raise Unprocessable(f"Invalid path of a file: {error}") from None
