"""The page on the architecture says what the code does."""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING

import pytest
from pages import DOCS, ROOT

from jobbergate_server.app import create_app
from jobbergate_server.database.event_log import COLUMNS
from jobbergate_server.plugins.registry import HOOKS
from jobbergate_server.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (DOCS / "architecture.md").read_text()
DIAGRAMS = {path.stem: path.read_text() for path in (DOCS / "diagrams").glob("*.mmd")}
REQUEST = {
    "jobbergate_server.http.logs": "Request id",
    "jobbergate_server.http.cors": "CORS",
    "jobbergate_server.http.errors": "Errors",
    "jobbergate_server.auth.middleware": "Authentication",
}
"""What the page calls the middleware of each module."""


def floors() -> Iterator[set[str]]:
    """Yield the packages of each floor, from the top, as the linter checks them."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    for line in parser["importlinter:contract:floors"]["layers"].strip().splitlines():
        yield {name.strip() for name in line.split("|")}


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}", text))


def test_the_page_shows_every_diagram_as_a_picture() -> None:
    assert re.findall(r"^!\[.+\]\(diagrams/(\w+)\.svg\)$", PAGE, re.MULTILINE) == ["floors", "request", "event"]
    assert DIAGRAMS.keys() == {"floors", "request", "event"}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_picture_has_the_labels_of_its_diagram(name: str) -> None:
    labels = [text for found in re.findall(r'\["?([^\[\]]+?)"?\]|\|([^|]+)\|', DIAGRAMS[name]) for text in found]
    picture = re.sub(r"<style>.*?</style>|<[^>]+>", " ", (DOCS / f"diagrams/{name}.svg").read_text(), flags=re.DOTALL)
    drawn = words(picture)
    assert labels
    assert {label for label in labels if not words(label.replace("<br>", " ")) <= drawn} == set(), "render it again"


def test_the_floors_are_those_that_the_linter_checks() -> None:
    diagram = DIAGRAMS["floors"]
    drawn = [set(re.findall(r"\w+", names)) for names in re.findall(r'\["(?:\d+ · )?([\w, ]+)<br>', diagram)]
    expected = list(floors())
    assert set().union(*drawn) == set().union(*expected)
    numbers = dict(re.findall(r'"(\d+) · (\w+)', diagram))
    for number, name in numbers.items():
        assert name in expected[len(expected) - int(number)]


def test_the_middlewares_stand_in_the_order_of_the_page() -> None:
    settings = load_settings(oidc={"issuer": "http://127.0.0.1:8000/oidc"}, cors={"origins": ["*"]})
    modules = [getattr(it, "__module__", "") for it in create_app(settings).middlewares]
    known = [REQUEST[module] for module in modules if module in REQUEST]
    assert len(known) == len(REQUEST)
    positions = [DIAGRAMS["request"].index(f"[{name}") for name in known]
    assert positions == sorted(positions)


def test_the_hooks_table_and_setting_of_events_exist() -> None:
    assert {"before_commit", "on_event"} <= set(HOOKS)
    assert {"type", "owner_email", "actor_email", "request_id", "data"} <= set(COLUMNS)
    assert "keep_days" in type(Settings().events).model_fields
    for name in ("before_commit", "on_event", "events.keep_days"):
        assert f"`{name}`" in PAGE
