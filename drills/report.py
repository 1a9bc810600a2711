"""The report of a run: a table, and the page of the documentation with it."""

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

The behaviour of the server and the state of its data after failures. The command that causes them writes this page:

```shell
{command}
```

`make drills` without arguments runs all drills and prints the table below. Its exit status is 1 when a promise is not
kept. `ARGS="--only kill,restart --rounds 20"` runs some drills, with that number of rounds. Servers are processes of
`jobbergate-server serve` with all bundled plugins and a local issuer. Each drill has its own database and file store.
The drills use the first available of three PostgreSQL servers. The order is: `JOBBERGATE_TEST_POSTGRES_URL`, the
machine's own (`initdb` on the `PATH`), the server of the tests. `restart` always starts its own PostgreSQL. `partition`
needs Linux, root and `ip` to create network namespaces, and is skipped without them.

## Drills

| Drill | |
|---|---|
{sentences}

## Results

{machine}

{table}
"""


class Result(NamedTuple):
    """A drill with the verdicts on its promises."""

    drill: Drill
    verdicts: Sequence[Verdict]

    @property
    def is_kept(self) -> bool:
        """Whether all promises were kept."""
        return all(it.kept for it in self.verdicts)


def text(results: Sequence[Result]) -> str:
    """Return the table for a terminal."""
    return f"{table(HEAD, _rows(results))}\n"


def page(results: Sequence[Result], command: str, seconds: float) -> str:
    """Return the page of the documentation. It names ``command`` as its source."""
    python, processors = platform.python_version(), len(os.sched_getaffinity(0))
    return PAGE.format(
        command=command,
        sentences="\n".join(f"| `{it.drill.name}` | {it.drill.description} |" for it in results),
        machine=f"Run on {processors} processors with Python {python}, in {seconds / 60:.0f} minutes.",
        table=table(HEAD, _rows(results)),
    )


def _rows(results: Sequence[Result]) -> Iterator[Sequence[str]]:
    for result in results:
        for it in result.verdicts:
            yield result.drill.name, it.promise, it.figure, it.bound, it.word
