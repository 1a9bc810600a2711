"""The command: it causes failures, prints the results and writes the page."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.postgres import cluster
from benchmarks.processes import ServerError
from benchmarks.provider import provider
from drills import (
    claim,
    document,
    files,
    keys,
    kill,
    memory,
    migrate,
    partition,
    replicas,
    report,
    restart,
    stop,
    workers,
)
from drills.drill import Drill, print_progress
from drills.installation import Run
from drills.report import Result

DRILLS = (
    kill.DRILL,
    restart.DRILL,
    claim.DRILL,
    stop.DRILL,
    migrate.DRILL,
    replicas.DRILL,
    partition.DRILL,
    keys.DRILL,
    files.DRILL,
    memory.DRILL,
    workers.DRILL,
    document.DRILL,
)


class Options(argparse.Namespace):
    """The options of the command line."""

    only: list[str]
    rounds: int | None
    write: Path | None


def main() -> int:
    """Run the drills of the options. Return 1 if a promise is not kept."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    try:
        results = run_all(chosen(options))
    except ServerError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(report.text(results))
    if options.write:
        command = f'make drills ARGS="{" ".join(sys.argv[1:])}"'
        options.write.write_text(report.page(results, command, time.monotonic() - began))
    return int(not all(it.is_kept for it in results))


def parse(arguments: Sequence[str]) -> Options:
    """Parse the options, which default to all drills."""
    names = [it.name for it in DRILLS]
    parser = argparse.ArgumentParser(
        prog="make drills", description="Cause failures, and check how the server behaves."
    )
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, help=f"of {','.join(names)}")
    parser.add_argument("--rounds", type=_positive, help="failures that each drill causes")
    parser.add_argument("--write", type=Path, help="the page of the documentation to write")
    options = parser.parse_args(arguments, Options())
    if unknown := set(options.only) - set(names):
        parser.error(f"--only: no such drill: {', '.join(sorted(unknown))}")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def chosen(options: Options) -> list[Drill]:
    """Return the drills of the options, with their rounds."""
    return [it.repeated(options.rounds) for it in DRILLS if it.name in options.only]


def run_all(drills: Sequence[Drill]) -> list[Result]:
    """Run the drills, print the progress on standard error, and return the results.

    Raises:
        ServerError: A server does not start.
    """
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="jobbergate-drills-") as name,
        cluster() as postgres,
        provider(Path(name) / "issuer") as issuer,
    ):
        run = Run(Path(name), postgres, issuer)
        for drill in drills:
            began = time.monotonic()
            print_progress(drill.name)
            figures = asyncio.run(drill.run(run, drill.rounds))
            results.append(Result(drill, [figure.verdict() for figure in figures]))
            print_progress(f"  {time.monotonic() - began:.0f} s")
    return results


if __name__ == "__main__":
    sys.exit(main())
