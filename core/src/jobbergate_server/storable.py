"""Values that both databases can store."""

INT4_MAX = 2**31 - 1
INT4_MIN = -(2**31)


def is_storable(text: str) -> bool:
    """Return whether a database column and a UTF-8 response can contain ``text``: no NUL, no lone surrogate."""
    return ("\0" not in text and text.isascii()) or not any(
        char == "\0" or "\ud800" <= char <= "\udfff" for char in text
    )
