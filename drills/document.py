"""Whatever can be made of the API document is answered as it says: the test of that, with far more requests."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from drills.drill import Drill, Figure, tell
from drills.installation import Run

ROOT = Path(__file__).parents[1]
TEST = "tests/security/test_schemathesis.py"
EXAMPLES = "JOBBERGATE_TEST_EXAMPLES"
"""The variable that tells the test how many requests it makes up for each operation."""
LINES = 40


async def run(_: Run, rounds: int) -> list[Figure]:
    """Run the test, which starts a server of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST]
    environment = {**os.environ, EXAMPLES: str(rounds)}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT)
    output = (await process.communicate())[0]
    lines = output.decode().splitlines()
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", lines[-1])}
    wrong = counts.get("failed", 0) + counts.get("error", 0)
    if wrong:
        tell("\n".join(lines[-LINES:]))
    return [
        Figure("operations that were tried", wrong + counts.get("passed", 0), 1, at_least=True),
        Figure("operations that answer what the document does not say", wrong),
    ]


DRILL = Drill(
    "document",
    "Schemathesis calls each operation of the API document up to {rounds} times, and more for its limits. It checks "
    "every response against the document.",
    run,
    rounds=300,
)
