"""The `#SBATCH` lines of a script, read as `sbatch` reads its command line."""

import re
import shlex
from argparse import SUPPRESS, ArgumentParser
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

import marshmallow as ma

from jobbergate_job_submissions.parameters import PARAMETERS, UNSUPPORTED, ParametersSchema

if TYPE_CHECKING:
    from jobbergate_server import FieldError

MARKER = re.compile(r"#SBATCH(?:\s+(.*))?$")
MAX_LINES = 500
MAX_CHARACTERS = 16 * 1024
UNSUPPORTED_PREFIX = "unsupported "


class SbatchError(Exception):
    """A `#SBATCH` line that cannot be used; the text names the line and what is wrong with it."""


class _Line(NamedTuple):
    number: int
    words: list[str]


def parse(script: str) -> dict[str, Any]:
    """The execution parameters that the `#SBATCH` lines of ``script`` set; of a repeated one the last counts.

    A marker stands at the beginning of a line, anywhere in the script, and white space follows it. Outside of quotes a
    `#` ends the line.

    Raises:
        SbatchError: A line cannot be used.
    """
    lines = _lines(script)
    try:
        options = _PARSER.options(lines)
    except _RefusedError as error:
        raise SbatchError(f"line {lines[_first_bad(lines)].number}: {error}") from None
    try:
        parameters: dict[str, Any] = ParametersSchema().load(options)
    except ma.ValidationError as error:
        raise SbatchError(_told(error, lines)) from None
    return parameters


def _lines(script: str) -> list[_Line]:
    """The `#SBATCH` lines; few enough that reading them takes no time that others would notice."""
    lines: list[_Line] = []
    left = MAX_CHARACTERS
    for number, line in enumerate(script.split("\n"), start=1):
        if not line.startswith("#SBATCH") or not (match := MARKER.match(line)):
            continue
        left -= len(line)
        if len(lines) == MAX_LINES or left < 0:
            raise SbatchError(
                f"line {number}: at most {MAX_LINES} #SBATCH lines with {MAX_CHARACTERS} characters are allowed"
            )
        try:
            lines.append(_Line(number, shlex.split(match[1] or "", comments=True)))
        except ValueError as error:
            raise SbatchError(f"line {number}: {error}") from None
    return lines


def _first_bad(lines: list[_Line]) -> int:
    """The index of the first line with which the lines up to it cannot be read."""
    return bisect_left(range(len(lines)), True, key=lambda index: not _is_good(lines[: index + 1]))


def _is_good(lines: list[_Line]) -> bool:
    try:
        _PARSER.options(lines)
    except _RefusedError:
        return False
    return True


def _told(error: ma.ValidationError, lines: list[_Line]) -> str:
    """What is wrong with the value of an option, with the last line that sets it."""
    name, problems = next(iter(cast("dict[str, list[FieldError]]", error.messages).items()))
    setting = [line.number for line in lines if name in _PARSER.options([line], strict=False)]
    options = "/".join(next(it.options[0].names for it in PARAMETERS if it.name == name))
    return f"line {setting[-1] if setting else lines[-1].number}: argument {options}: {problems[0].msg}"


class _RefusedError(Exception):
    pass


class _Parser(ArgumentParser):
    """argparse, told of all options of `sbatch`, that raises instead of leaving the process."""

    def __init__(self) -> None:
        super().__init__(prog="", usage="", add_help=False, argument_default=SUPPRESS)
        for parameter in PARAMETERS:
            for option in parameter.options:
                self.add_argument(*option.names, dest=parameter.name, **option.behaviour)
        for option in UNSUPPORTED:
            self.add_argument(*option.names, dest=UNSUPPORTED_PREFIX + option.names[-1], **option.behaviour)

    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)

    def options(self, lines: Sequence[_Line], *, strict: bool = True) -> dict[str, Any]:
        """The values of the parameters that the lines set."""
        found, unknown = self.parse_known_args([word for line in lines for word in line.words])
        options = vars(found)
        if unknown and strict:
            raise _RefusedError(f"Unrecognized SBATCH arguments: {' '.join(unknown)}")
        for name in options:
            if name.startswith(UNSUPPORTED_PREFIX) and strict:
                option = name.removeprefix(UNSUPPORTED_PREFIX)
                raise _RefusedError(f"Impossible to convert from SBATCH to Slurm REST API: {option}")
        return options


_PARSER = _Parser()
