"""The processes of a sandbox, and what they are busy with."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobbergate_applications import worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobbergate_applications.sandbox import Sandbox

CONFIG = "application_config: {}\njobbergate_config: {default_template: main.j2}\n"
OTHERS: set[int] = set()
"""The workers of another sandbox of this process."""


async def rendered(sandbox: Sandbox, template: str, **values: object) -> str:
    sections = {"application_config": values, "jobbergate_config": {"default_template": "main.j2"}}
    result = await sandbox.run("render", config=CONFIG, overrides=sections, templates={"main.j2": template})
    return str(result["main"])


def children() -> list[int]:
    """Return the workers among the processes that this one has started, except those in `OTHERS`."""
    started = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    own = str(worker.__file__).encode()
    found = []
    for name in started:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if own in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return [pid for pid in found if pid not in OTHERS]


async def until_busy(pid: int) -> None:
    """Wait until the process computes."""
    before = used_ticks(pid)
    await until(lambda: used_ticks(pid) >= before + 2)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another process makes it true
        await asyncio.sleep(0.01)


def used_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
