"""Schemas and their fields: the values of requests and responses, and their errors.

They are marshmallow's, with the coercions and the error texts of the wire format. Numbers become text in text fields,
numeric text becomes integers, `yes` is a boolean. Every field accepts the options of `marshmallow.fields.Field`, and
``description`` and ``example`` for the API document.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar, cast

import marshmallow as ma
from marshmallow import validate

from jobbergate_server.errors import FieldError
from jobbergate_server.http.responses import timestamp
from jobbergate_server.storable import INT4_MAX, INT4_MIN, is_storable

__all__ = [
    "INT4_MAX",
    "PLAIN",
    "Boolean",
    "Choice",
    "Integer",
    "List",
    "Literal",
    "Nested",
    "Object",
    "Path",
    "Scalar",
    "Schema",
    "Text",
    "Timestamp",
    "is_storable",
]


TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
FALSE = frozenset({"0", "off", "f", "false", "n", "no"})

REQUIRED = FieldError("value_error.missing", "field required")
NULL = FieldError("type_error.none.not_allowed", "none is not an allowed value")
NOT_TEXT = FieldError("type_error.str", "str type expected")
NOT_INTEGER = FieldError("type_error.integer", "value is not a valid integer")
NOT_BOOLEAN = FieldError("type_error.bool", "value could not be parsed to a boolean")
NOT_PATH = FieldError("type_error.path", "value is not a valid path")
NOT_MAPPING = FieldError("type_error.dict", "value is not a valid dict")
NOT_LIST = FieldError("type_error.list", "value is not a valid list")
EXTRA = FieldError("value_error.extra", "extra fields not permitted")
NOT_STORABLE = FieldError("value_error", "text must not contain NUL characters or lone surrogates")

Value = TypeVar("Value")
Input = Any  # any value of JSON or a query


def invalid(problem: FieldError) -> ma.ValidationError:
    """Return the error that marshmallow collects, with ``problem`` as its only message."""
    return ma.ValidationError([problem])


def _all_storable(value: object) -> bool:
    """Return whether every text in ``value`` is storable; a loop allows any depth of nesting."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str) and not is_storable(item):
            return False
        if isinstance(item, dict):
            rest += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            rest += item
    return True


class Schema(ma.Schema):
    """The fields of a body, a query or a response, in the order of the wire; unknown keys are ignored."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.EXCLUDE

    error_messages: dict[str, Any] = {"type": NOT_MAPPING, "unknown": EXTRA}  # noqa: RUF012 - as in marshmallow

    def get_attribute(self, obj: object, attr: str, default: object) -> object:
        """Return the value of ``attr`` (dotted: of a related row); None when the related row is None."""
        name, _, rest = attr.partition(".")
        if obj is None:
            return None
        value = obj.get(name, default) if isinstance(obj, dict) else getattr(obj, name, default)
        return self.get_attribute(value, rest, default) if rest else value


class _Field(ma.fields.Field[Value], Generic[Value]):
    """The options and errors of all fields."""

    problem: FieldError

    def __init__(self, *, description: str | None = None, example: object = ma.missing, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        metadata = {"description": description} if description else {}
        if example is not ma.missing:
            metadata["example"] = cast("str", example)
        super().__init__(**options, metadata=metadata)

    def make_error(self, key: str, **_: object) -> ma.ValidationError:
        """Return the wire's error for marshmallow's ``key``."""
        known = {"required": REQUIRED, "null": NULL}
        return invalid(known.get(key) or self.problem)


class Scalar(_Field[Value], ABC, Generic[Value]):
    """A field with a single value."""

    @abstractmethod
    def read(self, value: Input) -> Value:
        """Return the parsed ``value`` of a client.

        Raises:
            marshmallow.ValidationError: The value is not valid.
        """

    def _deserialize(self, value: Input, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Value:  # noqa: ANN401, ARG002 - marshmallow's signature
        return self.read(value)


class Text(Scalar[str], ma.fields.String):
    """Text that a database can store, of at most ``max_length`` characters; numbers and booleans become text."""

    problem = NOT_TEXT

    def __init__(self, *, max_length: int | None = None, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(**options)
        if max_length is not None:
            self.validators.append(_MaxLength(max=max_length))

    def read(self, value: Input) -> str:
        """Convert numbers and booleans to text."""
        if not isinstance(value, str):
            if not isinstance(value, int | float):
                raise self.make_error("invalid")
            return str(value)
        if not is_storable(value):
            raise invalid(NOT_STORABLE)
        return value


class Integer(Scalar[int], ma.fields.Integer):
    """A whole number; ``ge``, ``gt`` and ``le`` bound it, by default to the range of an int4 column."""

    problem = NOT_INTEGER

    def __init__(
        self,
        *,
        ge: int | None = INT4_MIN,
        gt: int | None = None,
        le: int | None = INT4_MAX,
        **options: Any,  # noqa: ANN401 - marshmallow's options
    ) -> None:
        super().__init__(**options)
        if gt is not None:
            self.validators.append(_Minimum(gt + 1, "not_gt", f"greater than {gt}", gt))
        elif ge is not None:
            self.validators.append(_Minimum(ge, "not_ge", f"greater than or equal to {ge}", ge))
        if le is not None:
            self.validators.append(_Maximum(max=le))

    def read(self, value: Input) -> int:
        """Parse the value like `int`."""
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            raise self.make_error("invalid") from None


class Boolean(Scalar[bool], ma.fields.Boolean):
    """True or false, also as 1/0, on/off, yes/no, t/f and y/n in any case."""

    problem = NOT_BOOLEAN

    def read(self, value: Input) -> bool:
        """Parse the words of the wire."""
        word = value.lower() if isinstance(value, str) else str(int(value)) if value in (0, 1) else ""
        if word not in TRUE | FALSE:
            raise self.make_error("invalid")
        return word in TRUE


class Choice(Scalar[str], ma.fields.String):
    """One of a few words, such as the members of a `StrEnum`."""

    def __init__(self, choices: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(**options)
        self.choices = [str(choice) for choice in choices]
        permitted = ", ".join(repr(choice) for choice in self.choices)
        self.problem = FieldError(
            "type_error.enum",
            f"value is not a valid enumeration member; permitted: {permitted}",
            {"enum_values": self.choices},
        )
        self.validators.append(validate.OneOf(self.choices))

    def read(self, value: Input) -> str:
        """Accept the words themselves."""
        if not isinstance(value, str) or value not in self.choices:
            raise self.make_error("invalid")
        return value


class Literal(Scalar[str], ma.fields.String):
    """One of a few words without names in Python."""

    def __init__(self, *permitted: str, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(**options)
        self.permitted = permitted
        self.validators.append(validate.OneOf(permitted))

    def read(self, value: Input) -> str:
        """Accept the words themselves."""
        if not isinstance(value, str) or value not in self.permitted:
            message = f"unexpected value; permitted: {', '.join(repr(word) for word in self.permitted)}"
            raise invalid(FieldError("value_error.const", message, {"given": value, "permitted": list(self.permitted)}))
        return value


class Path(Text):
    """A POSIX path, normalised: without `.`, repeated and trailing slashes; `..` remains."""

    problem = NOT_PATH

    def read(self, value: Input) -> str:
        """Accept only text."""
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return str(PurePosixPath(super().read(value)))


class Timestamp(_Field[str], ma.fields.String):
    """A moment in a response: ISO 8601 in UTC, without an offset (so not a `date-time` of RFC 3339)."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(**{"dump_only": True, "example": "2026-11-23T19:59:13.276350", **options})
        self.metadata = {**self.metadata, "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$"}

    def _serialize(self, value: Input, attr: str | None, obj: Input, **kwargs: Any) -> str | None:  # noqa: ANN401, ARG002 - marshmallow's signature
        return None if value is None else timestamp(value)


class List(_Field[list[Any]], ma.fields.List[Any]):
    """A list of values with the field ``inner``."""

    problem = NOT_LIST

    def __init__(self, inner: ma.fields.Field[Any], **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(cls_or_instance=inner, **options)


class Object(Scalar[dict[str, Any]], ma.fields.Dict):
    """A JSON object with arbitrary keys; ``values`` is the common field of its values, if any."""

    problem = NOT_MAPPING

    def __init__(self, *, values: ma.fields.Field[Any] | None = None, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(values=values, **options)

    def read(self, value: Input) -> dict[str, Any]:
        """Accept an object that a database can store."""
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        if not _all_storable(value):
            raise invalid(NOT_STORABLE)
        if self.value_field is None:
            return value
        loaded, messages = {}, {}
        for key, item in value.items():
            try:
                loaded[key] = self.value_field.deserialize(item)
            except ma.ValidationError as error:
                messages[key] = error.messages
        if messages:
            raise ma.ValidationError(messages)
        return loaded


class Nested(_Field[dict[str, Any]], ma.fields.Nested):
    """A JSON object with its own schema."""

    problem = NOT_MAPPING

    def __init__(self, schema: type[ma.Schema], **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(nested=schema, **options)

    def _deserialize(self, value: Input, attr: str | None, data: Input, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - marshmallow's signature
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return cast("dict[str, Any]", super()._deserialize(value, attr, data, *args, **kwargs))


PLAIN = (Text, Integer, Boolean, Choice, Timestamp, Object)
"""Fields whose database values need no conversion for JSON."""


class _MaxLength(validate.Length):
    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - as in marshmallow
        if len(value) > cast("int", self.max):
            message = f"ensure this value has at most {self.max} characters"
            raise invalid(FieldError("value_error.any_str.max_length", message, {"limit_value": self.max}))
        return value


class _Minimum(validate.Range):
    def __init__(self, least: int, name: str, words: str, limit: int) -> None:
        super().__init__(min=least)
        self.problem = FieldError(f"value_error.number.{name}", f"ensure this value is {words}", {"limit_value": limit})

    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - as in marshmallow
        if value < self.min:
            raise invalid(self.problem)
        return value


class _Maximum(validate.Range):
    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - as in marshmallow
        if value > self.max:
            message = f"ensure this value is less than or equal to {self.max}"
            raise invalid(FieldError("value_error.number.not_le", message, {"limit_value": self.max}))
        return value


def entries(messages: object, *loc: str | int) -> Iterator[dict[str, object]]:
    """Yield the elements of a 422 response for the ``messages`` of a `marshmallow.ValidationError` at ``loc``."""
    if isinstance(messages, Mapping):
        # Marshmallow reports unknown keys last, in undefined order.
        for key, inner in sorted(messages.items(), key=lambda item: str(item[0]) if item[1] == [EXTRA] else ""):
            if key == ma.exceptions.SCHEMA:
                yield from entries(inner, *loc, "__root__")
            else:
                yield from entries(inner, *loc, key)
        return
    for message in cast("list[object]", messages):
        problem = message if isinstance(message, FieldError) else FieldError("value_error", str(message))
        yield problem.entry(loc)
