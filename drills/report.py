"""What a run says: a table, and the page of the documentation that has it."""

import os
import platform
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.bars import Verdict
from benchmarks.report import table
from drills.drill import Drill

HEAD = ("Drill", "Promise", "Figure", "Bound", "Verdict")

PAGE = """\
# Drills

What becomes of the server and its data when something breaks. The page is written by the command that breaks it:

```shell
{command}
```

`make drills` alone runs all of them and prints the table below; its exit status is 1 when a promise is not kept.
`ARGS="--only kill,restart --rounds 20"` runs some of them, and breaks things as often. Servers are processes of
`jobbergate-server serve` with all bundled plugins and a local issuer, and each drill has a database and a file store of
its own. PostgreSQL is that of `JOBBERGATE_TEST_POSTGRES_URL`, the machine's own where `initdb` is on the `PATH`, or the
tests' own; the one that is restarted is always started for it. `partition` is skipped where network namespaces cannot
be made, for which it takes Linux, root and `ip`.

## What is done

| Drill | |
|---|---|
{sentences}

## What is found

{machine}

{table}
"""


class Result(NamedTuple):
    """A drill and what became of its promises."""

    drill: Drill
    verdicts: Sequence[Verdict]

    @property
    def is_kept(self) -> bool:
        """Whether all promises were kept."""
        return all(it.kept for it in self.verdicts)


def text(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    return f"{table(HEAD, _rows(results))}\n"


def page(results: Sequence[Result], command: str, seconds: float) -> str:
    """The page of the documentation, which says that ``command`` has written it."""
    python, processors = platform.python_version(), len(os.sched_getaffinity(0))
    return PAGE.format(
        command=command,
        sentences="\n".join(f"| `{it.drill.name}` | {it.drill.told} |" for it in results),
        machine=f"Run on {processors} processors with Python {python}, in {seconds / 60:.0f} minutes.",
        table=table(HEAD, _rows(results)),
    )


def _rows(results: Sequence[Result]) -> Iterator[Sequence[str]]:
    for result in results:
        for it in result.verdicts:
            yield result.drill.name, it.promise, it.figure, it.bound, it.word
