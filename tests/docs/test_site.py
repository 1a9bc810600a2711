"""The documentation is built without a warning, from all pages, and needs no other host to be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pages import DOCS, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_every_page_is_built(site: Path) -> None:
    names = (path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md"))
    assert [name for name in names if not (site / name.replace("README", "index")).exists()] == []


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=[\"']?([^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]+rel=[\"']?(?:stylesheet|preconnect|icon)[^>]*href=[\"']?([^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]+href=[\"']?([^\"' >]+)[^>]*rel=[\"']?(?:stylesheet|preconnect)", text)
        assert [url for url in loaded if url.startswith(("http:", "https:", "//"))] == [], page


def test_the_built_site_is_no_part_of_the_repository() -> None:
    assert "/site/" in (ROOT / ".gitignore").read_text().splitlines()
