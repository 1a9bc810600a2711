"""Paths of files that an agent writes: always inside of the job's directory."""

import pytest

from jobbergate_applications.api import confined_path
from jobbergate_applications.paths import MAX_PART, MAX_PATH


@pytest.mark.parametrize(
    ("text", "path"),
    {
        "main.sh": "main.sh",
        "a/b.sh": "a/b.sh",
        "a/./b//c/": "a/b/c",
        "./main.sh": "main.sh",
        "...": "...",
        "..a/b..": "..a/b..",
        "-rf": "-rf",
        "with blank.sh": "with blank.sh",
        "Übung/日本.sh": "Übung/日本.sh",
        "C:\\x": "C:\\x",
        "~/x": "~/x",
    }.items(),
)
def test_a_relative_path_is_brought_into_its_normal_form(text: str, path: str) -> None:
    assert confined_path(text) == path
    assert confined_path(path) == path


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "": "must name a file",
        ".": "must name a file",
        "././/": "must name a file",
        "/": "must not be absolute",
        "/etc/passwd": "must not be absolute",
        "//server/share": "must not be absolute",
        "..": "must not contain '..'",
        "../x": "must not contain '..'",
        "a/../b": "must not contain '..'",
        "a/..": "must not contain '..'",
        "a\0b": "must not contain control characters",
        "a\nb": "must not contain control characters",
        "a\r": "must not contain control characters",
        "\x1b[2J": "must not contain control characters",
        "a\x7f": "must not contain control characters",
        "a\x85b": "must not contain control characters",
        "a\udc80": "must be valid Unicode",
    }.items(),
)
def test_what_names_no_file_inside_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        confined_path(text)


def test_a_part_has_at_most_255_bytes() -> None:
    assert MAX_PART == 255
    assert confined_path("d/" + "x" * 255) == "d/" + "x" * 255
    assert confined_path("é" * 127) == "é" * 127
    for text in ("x" * 256, "é" * 128):
        with pytest.raises(ValueError, match="at most 255 bytes in a part"):
            confined_path(text)


def test_a_path_has_at_most_1024_bytes() -> None:
    assert MAX_PATH == 1024
    longest = "/".join(["x" * 204] * 5)
    assert len(longest) == 1024
    assert confined_path(longest + "/") == longest
    with pytest.raises(ValueError, match="1024 in all"):
        confined_path("y" + longest)
