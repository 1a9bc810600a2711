"""The command `jobbergate-server` in this process, for tests of its output; `processes` runs it as a user does."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from click.testing import CliRunner

from jobbergate_server.cli.main import main
from jobbergate_server.settings_sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result


def run(folder: Path, *arguments: str, **variables: str) -> Result:
    """Run the command in ``folder``, with none of the settings of the caller's environment.

    The distributions in the variable ``PYTHONPATH`` are installed for this command alone.
    """
    inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith(PREFIX)}

    def invoke() -> Result:
        environment = inherited | variables
        return CliRunner().invoke(
            main, arguments, env=environment, catch_exceptions=False, prog_name="jobbergate-server"
        )

    # In a thread, where no event loop runs yet, and no database is bound.
    with ThreadPoolExecutor(1) as pool, chdir(folder), _log_of_its_own(), _installed(variables.get("PYTHONPATH", "")):
        return pool.submit(invoke).result()


def printed(folder: Path, *arguments: str, **variables: str) -> str:
    """Return the output of a command that succeeds."""
    done = run(folder, *arguments, **variables)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def refused(folder: Path, *arguments: str, **variables: str) -> str:
    """Return the message of a command that fails."""
    done = run(folder, *arguments, **variables)
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    return done.stderr


@contextmanager
def _log_of_its_own() -> Iterator[None]:
    """Let a command configure the log, and restore that of the tests."""
    config, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        yield
    finally:
        structlog.configure(**config)
        root.handlers = handlers
        root.setLevel(level)


@contextmanager
def _installed(folders: str) -> Iterator[None]:
    """Prepend the folders to Python's path, and unload their modules afterwards, as the next command imports them."""
    paths = [Path(folder) for folder in folders.split(os.pathsep) if folder]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        for path in reversed(paths):
            patch.syspath_prepend(path)
        try:
            yield
        finally:
            for name, module in list(sys.modules.items()):
                file = Path(getattr(module, "__file__", None) or "/")
                if any(file.is_relative_to(path) for path in paths):
                    del sys.modules[name]
