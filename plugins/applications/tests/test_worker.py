"""What is said of the files of an application, as the functions of the sandbox say it."""

from __future__ import annotations

import re
from pathlib import PurePath

import pytest

from jobbergate_applications.worker import Refused, check, validate

CONFIG = "application_config:\n  job_name: rats\njobbergate_config:\n  default_template: main.sh.j2\n"
WHOLE = {"jobbergate.py": "", "jobbergate.yaml": CONFIG, "main.sh.j2": "echo {{ data.job_name }}\n"}


@pytest.mark.parametrize(
    ("files", "names"),
    {
        "source": ({"jobbergate.py": "def ("}, ["jobbergate.py"]),
        "NUL": ({"jobbergate.py": "a\0b"}, ["jobbergate.py"]),
        "another source": ({"other.py": "def ("}, ["other.py"]),
        "config": ({"jobbergate.yaml": "a: [b"}, ["jobbergate.yaml"]),
        "aliases": ({"jobbergate.yaml": f"{CONFIG}a: &a [b]\nc: *a\n"}, ["jobbergate.yaml", "aliases"]),
        "a date that is none": ({"jobbergate.yaml": f"{CONFIG}a: 2026-99-99\n"}, ["jobbergate.yaml"]),
        "a Python object": ({"jobbergate.yaml": f"{CONFIG}a: !!python/name:os.system\n"}, ["jobbergate.yaml"]),
        "template": ({"a.j2": "{{", "b.j2": "{% if %}"}, ["a.j2", "b.j2"]),
        "an unknown tag": ({"a.j2": "{% system 'x' %}"}, ["a.j2"]),
    }.values(),
)
def test_every_file_must_parse_and_those_that_do_not_are_named(files: dict[str, str], names: list[str]) -> None:
    kinds = {".py": "source", ".yaml": "config", ".j2": "template"}
    checked = {**WHOLE, **files}
    lines = check([{"kind": kinds[PurePath(name).suffix], "name": name, "text": checked[name]} for name in checked])
    assert lines
    assert all(name in " ".join(lines) for name in names)
    assert len(lines) == len(files)


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "": "TypeError",
        "[]": "TypeError",
        "text": "TypeError",
        "{}": "application_config: field required; jobbergate_config: field required",
        "application_config: {}": "jobbergate_config: field required",
        "application_config: null\njobbergate_config: {}": "application_config: value is not a valid dict",
        "application_config: {}\njobbergate_config: []": "jobbergate_config: value is not a valid dict",
        "application_config: {}\njobbergate_config: {default_template: [a]}": "default_template",
        "application_config: {}\njobbergate_config: {supporting_files: a}": "supporting_files",
        "application_config: {}\njobbergate_config: {supporting_files_output_name: [a]}": "files_output_name",
        "application_config: {}\njobbergate_config: {supporting_files_output_name: {a: {}}}": "str type expected",
        "application_config: {}\njobbergate_config: {template_files: {}}": "template_files",
    }.items(),
)
def test_the_configuration_must_have_its_sections(text: str, words: str) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        validate(text)


@pytest.mark.parametrize("value", ["2026-01-02", "2026-01-02 03:04:05", "!!set {a, b}", "!!binary eA==", ".nan"])
def test_the_configuration_may_hold_whatever_yaml_has(value: str) -> None:
    validate(f"application_config: {{1: {value}, null: c}}\njobbergate_config: {{extra: {value}}}\n")
