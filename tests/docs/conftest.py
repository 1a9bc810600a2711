"""The documentation as a site, built once in each process of the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT
from processes import environment


@pytest.fixture(scope="session")
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
