"""The page for those who write clients does what it says: its commands are run here, in its order."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pages import DOCS, blocks

if TYPE_CHECKING:
    from e2e.conftest import DevServer

BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:8000"
END = "--- end of a block ---"
BLOCKS = blocks(DOCS / "howto/clients.md")


def read(text: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The JSON, or the text where it is none."""
    return json.loads(text) if text.startswith("{") else text.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_command_has_the_answer_that_follows_it(dev_server: DevServer) -> None:
    script = f"\necho '{END}'\n".join(block.text for block in BLOCKS if block.language == "shell")
    script = script.replace(".venv/bin/", f"{BIN}/").replace(ADDRESS, dev_server.address)
    done = subprocess.run(  # noqa: S603 - the commands of the page
        ["bash", "-euc", script],  # noqa: S607 - likewise
        cwd=dev_server.directory,
        env=dev_server.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = iter(done.stdout.split(f"{END}\n"))
    found = [next(printed) if block.language == "shell" else block.text for block in BLOCKS]
    for number, block in enumerate(BLOCKS):
        if block.language != "shell":
            assert read(found[number - 1]) == read(block.text), block.place
