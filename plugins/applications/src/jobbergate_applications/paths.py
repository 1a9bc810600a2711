"""Paths of stored files. An agent writes them, always inside the job's directory."""

import unicodedata
from pathlib import PurePosixPath

MAX_PART = 255
"""Bytes of one part of a path."""
MAX_PATH = 1024
"""Bytes of a path."""


def confined_path(text: str) -> str:
    """Return the path in its normal form: relative, inside the directory, without `.` and doubled slashes.

    >>> confined_path("a/./b//c/")
    'a/b/c'

    Raises:
        ValueError: The path is absolute, empty or too long, or contains `..` or a control character.
    """
    path = PurePosixPath(text)
    if path.is_absolute():
        raise ValueError(f"the path {text!r} must not be absolute")
    if ".." in path.parts:
        raise ValueError(f"the path {text!r} must not contain '..'")
    if not path.parts:
        raise ValueError(f"the path {text!r} must name a file")
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError(f"the path {text!r} must not contain control characters")
    try:
        sizes = [len(part.encode()) for part in path.parts]
    except UnicodeEncodeError:
        raise ValueError(f"the path {text!r} must be valid Unicode") from None
    if max(sizes) > MAX_PART or len(str(path).encode()) > MAX_PATH:
        raise ValueError(f"the path must have at most {MAX_PART} bytes in a part and {MAX_PATH} in all")
    return str(path)
