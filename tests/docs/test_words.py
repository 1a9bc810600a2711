"""The English of docstrings, messages, pages and commit subjects."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pages import ROOT, WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = sorted(
    path
    for folder in ("core", "devkit", "plugins", "examples", "drills", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts
)
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "devkit/README.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    *WRITTEN,
]
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}

ACTOR = "name the actor: client, caller, operator, plugin, author, worker, load balancer"
VERB = "use the field's verb: return, raise, reject, log, notify, report, retry, commit, reference, load, skip, delete"
SENTENCE = "say it in one plain sentence of at most 20 words"
RULES = {
    r"(who|whom)ever|(some|any|every|no)body|(some|any|every)one|no one": ACTOR,
    r"tell|tells|telling|told": VERB,
    r"g[ia]ve(s|n)? up|giving up": VERB,
    r"hand(s|ed|ing)? over": VERB,
    r"look(s|ed|ing)? after": VERB,
    r"go(es|ne)? on|went on|going on": VERB,
    r"(come|came)s? back|coming back": VERB,
    r"(take|takes|taken|took|taking) (its|the|their) place": VERB,
    r"(is|are|was|were|be|been|goes|go|went) away": VERB,
    r"stands? in (the|a|its) \w+": VERB,
    r"(become|became|becomes) of": VERB,
    r"of (which|whom)": SENTENCE,
    r"that there (is|are|was|were)": SENTENCE,
    r"(is|are) (?-i:none)": SENTENCE,
    r"as (it is|they are)": SENTENCE,
    r"anew": SENTENCE,
    r"by (itself|themselves)": SENTENCE,
}
"""Patterns of words, and what to do instead."""

SUBJECT_LENGTH = 72
"""Characters of a commit subject."""
IMPERATIVES = {"Bring", "Embed", "Exceed", "Feed", "Need", "Ping", "Proceed", "Seed", "Shed", "Speed", "Alias"}
NOT_IMPERATIVE = re.compile(r"(?:The|An?|It|They|This|These|What|Who|No|[A-Z][a-z]*(?:ed|ing|[^su\W]s))$|Is$|As$|Has$")
"""First words of a subject that are no imperative, except `IMPERATIVES`."""


class Text(NamedTuple):
    """A text of a file, with the number of its first line."""

    line: int
    text: str


def literals(node: ast.AST) -> Iterator[Text]:
    """Yield the string literals in ``node``, including the constant parts of f-strings."""
    for it in ast.walk(node):
        if isinstance(it, ast.Constant) and isinstance(it.value, str):
            yield Text(it.lineno, it.value)


def is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOG_METHODS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id.endswith("log")
    )


def texts_of_code(source: str) -> Iterator[Text]:
    """Yield the docstrings, those of constants included, the texts of raised errors, and the log events."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Text(node.lineno, node.value.value)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from literals(node.exc)
        elif isinstance(node, ast.Call) and is_log_call(node):
            for argument in node.args:
                yield from literals(argument)


def text_of_page(page: str) -> Text:
    """Return the prose of a page. Blank lines replace its code blocks."""
    return Text(
        1, re.sub(r"^( *)```.*?^\1```$", lambda it: "\n" * it[0].count("\n"), page, flags=re.DOTALL | re.MULTILINE)
    )


def problems(texts: Iterator[Text] | list[Text]) -> Iterator[str]:
    """Yield a line for each word in the texts that a rule forbids. Skip code in backticks."""
    for line, text in texts:
        prose = re.sub(r"(`+).+?\1", lambda it: re.sub(r"\S", "`", it[0]), text, flags=re.DOTALL)
        for pattern, reason in RULES.items():
            for found in re.finditer(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), prose, re.IGNORECASE):
                words = " ".join(found[0].split())
                yield f"{line + prose.count(chr(10), 0, found.start())}: {words!r}: {reason}"


def subject_problem(subject: str) -> str | None:
    """Return the reason why the subject breaks the rules; None for a good subject."""
    first = subject.partition(" ")[0]
    if len(subject) > SUBJECT_LENGTH:
        return f"longer than {SUBJECT_LENGTH} characters"
    if first not in IMPERATIVES and (NOT_IMPERATIVE.match(first) or not first[:1].isupper()):
        return "does not start with an imperative"
    return None


def git(*arguments: str) -> str:
    """Return the output of a git command in the repository. Skip the test without git history."""
    program = shutil.which("git")
    if program is None or not (ROOT / ".git").exists():
        pytest.skip("the tree has no git history")
    done = subprocess.run([program, "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - git
    if done.returncode:
        pytest.skip(f"git cannot read the history: {done.stderr.strip()}")
    return done.stdout


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CODE, ids=name)
def test_docstrings_errors_and_log_events_use_the_words_of_the_field(path: Path) -> None:
    assert list(problems(texts_of_code(path.read_text()))) == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_use_the_words_of_the_field(path: Path) -> None:
    assert list(problems([text_of_page(path.read_text())])) == []


def test_the_subjects_of_commits_are_short_imperatives() -> None:
    # The rule applies to the descendants of the commit that added this file.
    added = git("log", "--diff-filter=A", "--format=%H", "--", "tests/docs/test_words.py").split()
    subjects = git("log", "--ancestry-path", "--format=%s", f"{added[-1]}..HEAD").splitlines() if added else []
    wrong = {subject: reason for subject in subjects if (reason := subject_problem(subject))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""What plugins are told."""', ["1: 'told'"]),
        ('LIMIT = 1\n"""Seconds after which the server\ngives up."""', ["3: 'gives up'"]),
        ('raise ValueError(f"the file, of which {number} exist")', ["1: 'of which'"]),
        ('log.error("mail not sent, somebody must look after it", id=1)', ["1: 'somebody'", "1: 'look after'"]),
        ('raise KeyError\nname = "somebody"  # told\nprint("nobody")', []),
        ('"""Return the reason. `told` and ``anew`` are code."""', []),
    ],
)
def test_the_words_are_found_in_docstrings_errors_and_log_events(source: str, words: list[str]) -> None:
    found = problems(texts_of_code(source))
    assert [":".join(it.split(":")[:2]) for it in found] == words


def test_code_blocks_of_pages_are_skipped() -> None:
    page = "# Logs\n\n```shell\necho somebody\n```\n\nThe server restarts by\nitself.\n"
    (found,) = problems([text_of_page(page)])
    assert found == f"7: 'by itself': {SENTENCE}"


@pytest.mark.parametrize(
    "subject", ["Reject tokens without an issuer", "Process events in order", "Embed the licence", "Focus on errors"]
)
def test_an_imperative_subject_is_good(subject: str) -> None:
    assert subject_problem(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Rejects tokens",
        "Rejected tokens",
        "Rejecting tokens",
        "Tokens are rejected",
        "The token is rejected",
        "reject",
        "",
    ],
)
def test_a_statement_is_no_subject(subject: str) -> None:
    assert subject_problem(subject) == "does not start with an imperative"


def test_a_long_subject_is_rejected() -> None:
    assert subject_problem("Reject " + "t" * 65) is None
    assert subject_problem("Reject " + "t" * 66) == "longer than 72 characters"
