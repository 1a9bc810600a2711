"""An application rendered with values: the texts that its templates become."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobbergate_applications.sandbox import Sandbox
from jobbergate_applications.storage import Contents
from jobbergate_server import Unprocessable


@dataclass(frozen=True, slots=True)
class Supporting:
    """A rendered supporting template, and the names of the files that it becomes."""

    names: list[str]
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered application, as its configuration says."""

    main_template: str
    main: str
    output_directory: str
    supporting: list[Supporting]


async def render(sandbox: Sandbox, contents: Contents, overrides: Mapping[str, Any]) -> Rendered:
    """The templates of ``contents``, rendered with its configuration, whose sections ``overrides`` replace.

    Raises:
        Unprocessable: Files are missing, or the configuration or a template is wrong; the text says what.
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
