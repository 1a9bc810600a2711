"""The page on replicas tells sizes that were measured."""

from __future__ import annotations

import re

import pytest
from pages import DOCS

PAGE = DOCS / "howto/replicas.md"
SIZES = re.findall(r"^\| (.+) \| ([\d,.]+(?: \w+)?) \| \[\w+\]\(\.\./(\w+\.md)\) \|$", PAGE.read_text(), re.MULTILINE)


def test_every_size_tells_where_it_was_measured() -> None:
    _, _, table = PAGE.read_text().partition("| Measured | Where |\n")
    assert len(SIZES) == len(re.findall(r"^\| .* \|$", table, re.MULTILINE)) > 0


@pytest.mark.parametrize(("what", "size", "page"), SIZES, ids=[what for what, _, _ in SIZES])
def test_a_size_is_the_one_that_was_measured(what: str, size: str, page: str) -> None:
    assert re.search(rf"\| +{re.escape(size)} +\|", (DOCS / page).read_text()), what
