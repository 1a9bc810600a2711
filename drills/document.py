"""Responses conform to the API document: the test of the suite, with far more requests."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from drills.drill import Drill, Figure, print_progress
from drills.installation import Run

ROOT = Path(__file__).parents[1]
TEST = "tests/security/test_schemathesis.py"
EXAMPLES = "JOBBERGATE_TEST_EXAMPLES"
"""The variable with the number of generated requests for each operation."""
LINES = 40
"""Lines of output to print after a failure."""


async def run(_: Run, rounds: int) -> list[Figure]:
    """Run the test, which starts its own server."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST]
    environment = {**os.environ, EXAMPLES: str(rounds)}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT)
    output = (await process.communicate())[0]
    lines = output.decode().splitlines()
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", lines[-1])}
    wrong = counts.get("failed", 0) + counts.get("error", 0)
    if wrong:
        print_progress("\n".join(lines[-LINES:]))
    return [
        Figure("tested operations", wrong + counts.get("passed", 0), 1, at_least=True),
        Figure("operations with an undocumented response", wrong),
    ]


DRILL = Drill(
    "document",
    "Schemathesis calls each operation of the API document up to {rounds} times, and more for its limits. It checks "
    "every response against the document.",
    run,
    rounds=300,
)
