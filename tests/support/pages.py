"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted(
    path for path in DOCS.rglob("*.md") if not path.read_text().startswith("<!-- Written by `make reference`")
)
"""The pages that people write. `make reference` writes the others from the code."""


class Block(NamedTuple):
    """A code block: where it begins, its language and its text."""

    place: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The code blocks of the page, in their order."""
    text = page.read_text()
    found = re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    name = page.relative_to(DOCS).as_posix()
    return [
        Block(f"{name}:{text.count(chr(10), 0, it.start()) + 1}", it[2], textwrap.dedent(it[3]) if it[1] else it[3])
        for it in found
    ]


def of(page: Path, *languages: str) -> list[Block]:
    """Those of the blocks that are in one of the languages."""
    return [block for block in blocks(page) if block.language in languages]
