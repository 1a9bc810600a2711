"""The code blocks of the pages, each held against what it is about."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
import yaml
from pages import ROOT, WRITTEN, Block, of

from jobbergate_devkit.reference.pages import settings_tables
from jobbergate_server.cli.main import main
from jobbergate_server.plugins.contribution import permission_names
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Settings, environment_name, load_settings
from jobbergate_server.settings_sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANGUAGES = {"shell", "toml", "python", "json", "text", "yaml", "promql", "nginx", "sql", "ini"}
OTHERS = {"curl", "docker", "export", "make", "pg_dump", "pg_restore", "pip", "printf", "chmod", "pytest", "python"}
"""Programs of others that the pages name."""
OTHERS |= {"createdb", "dropdb", "cmp", "rm", "sqlite3", "tar", "."}


def blocks_of(*languages: str) -> list[Block]:
    return [block for page in WRITTEN for block in of(page, *languages)]


def place(block: Block) -> str:
    """The name of the test of the block."""
    return block.place


def variables() -> set[str]:
    """The environment variables that there are."""
    settings = Settings.model_construct()
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    tables = settings_tables(contributions)
    names = {environment_name(*path, name) for path, model in tables for name in model.model_fields}
    return names | {"JOBBERGATE_TEST_POSTGRES_URL"}


def commands(script: str) -> Iterator[list[str]]:
    """The words of each command of the script."""
    for line in script.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for inner in re.findall(r"\$\((.*?)\)", line):
            yield shlex.split(inner)
        for word in shlex.split(line, comments=True):
            if word in {"|", "&&", ";"}:
                yield words
                words = []
            else:
                words.append(word)
        if words:
            yield words


def parse(words: list[str]) -> None:
    """Let click read the words, down to the command that they name, without running it."""
    command: click.Command = main
    context = main.make_context("jobbergate-server", list(words), resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001 - click has no other way to what it did not parse
        if not rest:
            assert command.invoke_without_command
            return
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_is_of_a_language_that_is_tested(page: Path) -> None:
    assert {block.language for block in of(page, *LANGUAGES)} <= LANGUAGES
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


@pytest.mark.parametrize("block", blocks_of("shell"), ids=place)
def test_commands_exist_and_take_their_options(block: Block) -> None:
    for words in commands(block.text):
        program = words[0].rpartition("/")[2]
        if program == "jobbergate-server":
            parse(words[1:])
        else:
            assert program in OTHERS
        if program == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(rf"\b{PREFIX}\w+", block.text)) <= variables()
    for path in re.findall(r"(?<= )\./(?:core|plugins/\w+)", block.text):
        assert (ROOT / path / "pyproject.toml").exists()


@pytest.mark.parametrize("block", blocks_of("toml"), ids=place)
def test_settings_load_and_do_not_say_what_is_the_default(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "jobbergate.toml"
    file.write_text(block.text)
    settings = load_settings(file)
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    assert settings != load_settings()
    assert {name for granted in settings.oidc.roles.values() for name in granted} <= set(
        permission_names(contributions)
    )


@pytest.mark.parametrize("block", blocks_of("ini"), ids=place)
def test_variables_load(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(re.findall(r"^(\w+)=", block.text, re.MULTILINE)) <= variables()
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read_string(f"[all]\n{block.text}")
    for name, value in parser["all"].items():
        monkeypatch.setenv(name, value)
    load_settings()


@pytest.mark.parametrize("block", blocks_of("json"), ids=place)
def test_answers_are_json(block: Block) -> None:
    json.loads(block.text)


def test_the_answer_of_ready_is_that_of_the_readme() -> None:
    answers = {block.text for block in blocks_of("json") if block.text.startswith('{"ready"')}
    assert len(answers) == 1
    assert answers.pop() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("block", blocks_of("yaml"), ids=place)
def test_what_prometheus_is_told_is_in_the_readme_of_the_plugin(block: Block) -> None:
    assert yaml.safe_load(block.text)["scrape_configs"]
    assert block.text in (ROOT / "plugins/prometheus/README.md").read_text()


@pytest.mark.parametrize("block", blocks_of("promql"), ids=place)
def test_queries_name_metrics_and_labels_that_there_are(block: Block) -> None:
    table = (ROOT / "plugins/prometheus/README.md").read_text()
    names = re.findall(r"jobbergate_\w+", block.text)
    assert names
    assert all(f"`{name.removesuffix('_bucket')}`" in table for name in names)
    labels = {label for group in re.findall(r"by \(([^)]*)\)", block.text) for label in group.split(", ")} - {"le"}
    assert all(f"`{label}`" in table for label in labels)


@pytest.mark.parametrize("block", blocks_of("nginx"), ids=place)
def test_the_proxy_leads_to_the_server_and_takes_what_it_takes(block: Block) -> None:
    settings = Settings.model_construct()
    target = re.search(r"^ +proxy_pass http://(\S+);$", block.text, re.MULTILINE)
    assert target is not None
    group = re.search(rf"^upstream {re.escape(target[1])} {{\n(.*?)^}}$", block.text, re.MULTILINE | re.DOTALL)
    servers = re.findall(r"^ +server (\S+);$", group[1], re.MULTILINE) if group else [target[1]]
    assert servers
    assert {server.rpartition(":")[2] for server in servers} == {str(settings.server.port)}
    assert group or servers == [f"{settings.server.host}:{settings.server.port}"]
    size = re.search(r"client_max_body_size (\d+)m;", block.text)
    assert size is not None
    assert int(size[1]) * 1024**2 > settings.limits.max_upload_size
    assert block.text.count("{") == block.text.count("}")


@pytest.mark.parametrize("block", blocks_of("sql"), ids=place)
def test_the_database_that_is_made_is_that_of_the_settings(block: Block) -> None:
    user, password, name = re.findall(r"ROLE (\w+) .*'(\w+)';\n.*DATABASE (\w+)", block.text)[0]
    deploy = next(text for _, _, text in blocks_of("toml") if "postgresql://" in text)
    assert f"//{user}:{password}@" in deploy
    assert f'/{name}"' in deploy


@pytest.mark.parametrize("block", blocks_of("python"), ids=place)
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text if not block.text.startswith("    ") else f"class Model:\n{block.text}")


def test_the_signature_of_a_webhook_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (text for place, _, text in blocks_of("python") if place.startswith("howto/webhooks.md"))
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - the example of the page
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    # The example of Standard Webhooks.
    monkeypatch.setattr("time.time", lambda: 1614265330.0)
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - likewise
    assert is_genuine(secret, headers, b'{"test": 2432232314}')
    assert not is_genuine(secret, headers, b'{"test": 2432232315}')
    assert not is_genuine(secret, headers | {"webhook-timestamp": "1614260000"}, b'{"test": 2432232314}')
