"""Rendering of an application: its templates, filled with values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobbergate_applications.sandbox import Sandbox
from jobbergate_applications.storage import Contents
from jobbergate_server import Unprocessable


@dataclass(frozen=True, slots=True)
class Supporting:
    """A rendered supporting template, with the names of its output files."""

    names: list[str]
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered application."""

    main_template: str
    main: str
    output_directory: str
    supporting: list[Supporting]


async def render(sandbox: Sandbox, contents: Contents, overrides: Mapping[str, Any]) -> Rendered:
    """Render the templates of ``contents`` with its configuration. ``overrides`` replace whole sections of it.

    Raises:
        Unprocessable: A file is missing, or the configuration or a template is invalid.
    """
    parts = {"config": contents.config, "source": contents.source, "template": contents.templates or None}
    missing = [
        f"\n  {number}: Application {name} file was not found"
        for number, (name, part) in enumerate(parts.items(), start=1)
        if part is None
    ]
    if missing:
        raise Unprocessable("Checked expressions failed: One or more application files are missing" + "".join(missing))
    result = await sandbox.run(
        "render", config=contents.config, overrides=dict(overrides), templates=contents.templates
    )
    supporting = [Supporting(**it) for it in result.pop("supporting")]
    return Rendered(**result, supporting=supporting)
