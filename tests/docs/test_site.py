"""The documentation is built without a warning, from all pages, and needs no other host to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCS, ROOT
from processes import environment


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site that `make docs` builds."""
    folder = tmp_path_factory.mktemp("site")
    command = re.search(r"^docs:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    assert command[1] == "NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)"
    proxy = "http://127.0.0.1:9"  # nobody is there: the network is not needed
    variables = {"NO_MKDOCS_2_WARNING": "1", "no_proxy": "", "NO_PROXY": "", "http_proxy": proxy, "https_proxy": proxy}
    done = subprocess.run(  # noqa: S603 - a command of this repository
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


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
