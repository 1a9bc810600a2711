"""The parser of `#SBATCH` lines, which follows the command line of `sbatch`."""

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
"""`#SBATCH` lines of one script."""
MAX_CHARACTERS = 16 * 1024
"""Characters in all `#SBATCH` lines of one script."""
UNSUPPORTED_PREFIX = "unsupported "


class SbatchError(Exception):
    """An invalid `#SBATCH` line. The message contains the line number and the reason."""


class _Line(NamedTuple):
    number: int
    words: list[str]


def parse(script: str) -> dict[str, Any]:
    """Parse the execution parameters in the `#SBATCH` lines of ``script``. The last value of an option wins.

    The marker begins a line, anywhere in the script, and white space follows it. Outside quotes, `#` begins a comment.

    Raises:
        SbatchError: A line is invalid.
    """
    lines = _lines(script)
    try:
        options = _PARSER.options(lines)
    except _ParserError as error:
        raise SbatchError(f"line {lines[_first_bad(lines)].number}: {error}") from None
    try:
        parameters: dict[str, Any] = ParametersSchema().load(options)
    except ma.ValidationError as error:
        raise SbatchError(_message(error, lines)) from None
    return parameters


def _lines(script: str) -> list[_Line]:
    """Return the `#SBATCH` lines, within limits that keep the parsing short."""
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
    """Return the index of the first line that makes the lines up to it invalid."""
    return bisect_left(range(len(lines)), True, key=lambda index: not _is_good(lines[: index + 1]))


def _is_good(lines: list[_Line]) -> bool:
    try:
        _PARSER.options(lines)
    except _ParserError:
        return False
    return True


def _message(error: ma.ValidationError, lines: list[_Line]) -> str:
    """Return the message for an invalid value, with the last line that sets its option."""
    name, problems = next(iter(cast("dict[str, list[FieldError]]", error.messages).items()))
    setting = [line.number for line in lines if name in _PARSER.options([line], strict=False)]
    options = "/".join(next(it.options[0].names for it in PARAMETERS if it.name == name))
    return f"line {setting[-1] if setting else lines[-1].number}: argument {options}: {problems[0].msg}"


class _ParserError(Exception):
    pass


class _Parser(ArgumentParser):
    """An argparse parser of all options of `sbatch`, which raises instead of exiting."""

    def __init__(self) -> None:
        super().__init__(prog="", usage="", add_help=False, argument_default=SUPPRESS)
        for parameter in PARAMETERS:
            for option in parameter.options:
                self.add_argument(*option.names, dest=parameter.name, **option.behaviour)
        for option in UNSUPPORTED:
            self.add_argument(*option.names, dest=UNSUPPORTED_PREFIX + option.names[-1], **option.behaviour)

    def error(self, message: str) -> NoReturn:
        raise _ParserError(message)

    def options(self, lines: Sequence[_Line], *, strict: bool = True) -> dict[str, Any]:
        """Return the values of the parameters that the lines set."""
        found, unknown = self.parse_known_args([word for line in lines for word in line.words])
        options = vars(found)
        if unknown and strict:
            raise _ParserError(f"Unrecognized SBATCH arguments: {' '.join(unknown)}")
        for name in options:
            if name.startswith(UNSUPPORTED_PREFIX) and strict:
                option = name.removeprefix(UNSUPPORTED_PREFIX)
                raise _ParserError(f"Impossible to convert from SBATCH to Slurm REST API: {option}")
        return options


_PARSER = _Parser()
