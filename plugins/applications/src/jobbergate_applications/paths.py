"""Paths of files that a server stores and an agent writes: always inside of the job's directory."""

import unicodedata
from pathlib import PurePosixPath

MAX_PART = 255
MAX_PATH = 1024


def confined_path(text: str) -> str:
    """The path in its normal form: relative, without `.` and doubled slashes, and not leading out.

    >>> confined_path("a/./b//c/")
    'a/b/c'

    Raises:
        ValueError: It is absolute, holds `..` or a control character, or is empty or too long; the text says which.
    """
    path = PurePosixPath(text)
    if path.is_absolute():
        raise ValueError(f"the path {text!r} must not be absolute")
    if ".." in path.parts:
        raise ValueError(f"the path {text!r} must not lead out with '..'")
    if not path.parts:
        raise ValueError(f"the path {text!r} names no file")
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError(f"the path {text!r} must not hold control characters")
    try:
        sizes = [len(part.encode()) for part in path.parts]
    except UnicodeEncodeError:
        raise ValueError(f"the path {text!r} must be valid Unicode") from None
    if max(sizes) > MAX_PART or len(str(path).encode()) > MAX_PATH:
        raise ValueError(f"the path must have at most {MAX_PART} bytes in a part and {MAX_PATH} in all")
    return str(path)
