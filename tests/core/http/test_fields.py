"""What each field reads, and its words for what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from math import inf, nan
from typing import Any

import marshmallow as ma
import pytest

from jobbergate_server import Schema
from jobbergate_server.http import fields
from jobbergate_server.http.fields import entries
from jobbergate_server.storable import INT4_MAX, is_storable

INT4_MIN = -(2**31)
NUL = "text must not contain NUL characters or lone surrogates"
ENUM = "value is not a valid enumeration member; permitted: 'CREATED', 'FAILED'"
CONST = "unexpected value; permitted: 'append', 'truncate'"


class Inner(Schema):
    """A nested schema."""

    size = fields.Integer(required=True)
    name = fields.Text(allow_none=True)


def read(field: ma.fields.Field[Any], value: object) -> object:
    """What a body gives for ``field`` when it holds ``value``."""
    return Schema.from_dict({"field": field})().load({"field": value})["field"]


def refused(field: ma.fields.Field[Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a 422 answer for a ``body`` in which ``field`` is wrong."""
    with pytest.raises(ma.ValidationError) as error:
        Schema.from_dict({"field": field})().load(body)
    return list(entries(error.value.messages, "body"))


def entry(msg: str, kind: str, *loc: str | int, **ctx: object) -> dict[str, object]:
    """The entry of a 422 answer for the field, or for what stands at ``loc`` in it."""
    return {"loc": ["body", "field", *loc], "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (fields.Text(), "", ""),
        (fields.Text(), " é\t\n😀 ", " é\t\n😀 "),
        (fields.Text(), 5, "5"),
        (fields.Text(), -1.5, "-1.5"),
        (fields.Text(), 10**30, "1" + "0" * 30),
        (fields.Text(), True, "True"),
        (fields.Text(), False, "False"),
        (fields.Text(max_length=3), "日本語", "日本語"),
        (fields.Text(max_length=3), 123, "123"),
        (fields.Text(allow_none=True), None, None),
        (fields.Integer(), 0, 0),
        (fields.Integer(), "12", 12),
        (fields.Integer(), " +1_0 ", 10),
        (fields.Integer(), 2.9, 2),
        (fields.Integer(), True, 1),
        (fields.Integer(), INT4_MAX, INT4_MAX),
        (fields.Integer(), INT4_MIN, INT4_MIN),
        (fields.Integer(ge=None, le=None), 10**30, 10**30),
        (fields.Integer(gt=0), 1, 1),
        (fields.Boolean(), True, True),
        (fields.Boolean(), 0, False),
        (fields.Boolean(), 1.0, True),
        (fields.Boolean(), "oN", True),
        (fields.Boolean(), "F", False),
        (fields.Choice(("CREATED", "FAILED")), "FAILED", "FAILED"),
        (fields.Literal("append", "truncate"), "append", "append"),
        (fields.Path(), "/home/x/", "/home/x"),
        (fields.Path(), "", "."),
        (fields.Path(), "a/./b//c/..", "a/b/c/.."),
        (fields.Path(), "//host/x", "//host/x"),
        (fields.List(fields.Text()), [], []),
        (fields.List(fields.Text()), ["a", 5, True], ["a", "5", "True"]),
        (fields.Object(), {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (fields.Object(values=fields.Text()), {"a": 1, "b": "2"}, {"a": "1", "b": "2"}),
        (fields.Nested(Inner), {"size": "5", "extra": 1}, {"size": 5}),
        (fields.Nested(Inner, allow_none=True), None, None),
    ],
)
def test_a_field_reads(field: ma.fields.Field[Any], value: object, expected: object) -> None:
    result = read(field, value)
    assert (type(result), result) == (type(expected), expected)


@pytest.mark.parametrize("value", [inf, nan])
def test_numbers_without_a_form_in_json_are_text_but_no_integers(value: float) -> None:
    assert read(fields.Text(), value) == str(value)
    assert refused(fields.Integer(), {"field": value}) == [
        entry("value is not a valid integer", "type_error.integer"),
    ]


@pytest.mark.parametrize(
    ("field", "msg", "kind", "values"),
    [
        (fields.Text(), "str type expected", "type_error.str", [[], {}, ["a"]]),
        (
            fields.Integer(),
            "value is not a valid integer",
            "type_error.integer",
            ["", " ", "x", "1.0", "1e3", "9" * 5000, [], {}, [1]],
        ),
        (
            fields.Boolean(),
            "value could not be parsed to a boolean",
            "type_error.bool",
            ["", " true", "2", "maybe", "null", 2, -1, 0.5, [], {}, [True]],
        ),
        (fields.Path(), "value is not a valid path", "type_error.path", [5, 1.5, True, [], {}]),
        (fields.List(fields.Text()), "value is not a valid list", "type_error.list", ["", "a", 5, True, {}, {"a": 1}]),
        (fields.Object(), "value is not a valid dict", "type_error.dict", ["", "{}", 5, True, [], [["a", 1]]]),
        (fields.Nested(Inner), "value is not a valid dict", "type_error.dict", ["", "{}", 5, True, [], [{"size": 1}]]),
    ],
)
def test_a_field_refuses_other_types(field: ma.fields.Field[Any], msg: str, kind: str, values: list[object]) -> None:
    for value in values:
        assert refused(field, {"field": value}) == [entry(msg, kind)], value


@pytest.mark.parametrize(
    "make",
    [
        fields.Text,
        fields.Integer,
        fields.Boolean,
        lambda **options: fields.Choice(("a",), **options),
        lambda **options: fields.Literal("a", **options),
        fields.Path,
        lambda **options: fields.List(fields.Text(), **options),
        fields.Object,
        lambda **options: fields.Nested(Inner, **options),
    ],
    ids=["text", "integer", "boolean", "choice", "literal", "path", "list", "object", "nested"],
)
def test_every_field_can_be_required_and_refuse_null(make: Any) -> None:  # noqa: ANN401 - one of the fields
    null = entry("none is not an allowed value", "type_error.none.not_allowed")
    assert refused(make(), {"field": None}) == [null]
    assert refused(make(required=True), {"field": None}) == [null]
    assert refused(make(required=True), {}) == [entry("field required", "value_error.missing")]
    assert read(make(allow_none=True), None) is None
    assert Schema.from_dict({"field": make()})().load({}) == {}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (
            fields.Text(max_length=3),
            "abcd",
            entry("ensure this value has at most 3 characters", "value_error.any_str.max_length", limit_value=3),
        ),
        (
            fields.Path(max_length=3),
            "/abc",
            entry("ensure this value has at most 3 characters", "value_error.any_str.max_length", limit_value=3),
        ),
        (
            fields.Integer(),
            INT4_MAX + 1,
            entry(
                "ensure this value is less than or equal to 2147483647",
                "value_error.number.not_le",
                limit_value=INT4_MAX,
            ),
        ),
        (
            fields.Integer(),
            str(INT4_MIN - 1),
            entry(
                "ensure this value is greater than or equal to -2147483648",
                "value_error.number.not_ge",
                limit_value=INT4_MIN,
            ),
        ),
        (
            fields.Integer(),
            1e300,
            entry(
                "ensure this value is less than or equal to 2147483647",
                "value_error.number.not_le",
                limit_value=INT4_MAX,
            ),
        ),
        (
            fields.Integer(gt=0),
            0,
            entry("ensure this value is greater than 0", "value_error.number.not_gt", limit_value=0),
        ),
        (
            fields.Integer(ge=0, le=1),
            2,
            entry("ensure this value is less than or equal to 1", "value_error.number.not_le", limit_value=1),
        ),
        (
            fields.Integer(ge=0, le=1),
            -1,
            entry("ensure this value is greater than or equal to 0", "value_error.number.not_ge", limit_value=0),
        ),
    ],
)
def test_a_field_has_bounds(field: ma.fields.Field[Any], value: object, expected: dict[str, object]) -> None:
    assert refused(field, {"field": value}) == [expected]


@pytest.mark.parametrize("value", ["created", " CREATED", "", 5, True, [], {}])
def test_a_choice_is_one_of_its_words(value: object) -> None:
    expected = entry(ENUM, "type_error.enum", enum_values=["CREATED", "FAILED"])
    assert refused(fields.Choice(("CREATED", "FAILED")), {"field": value}) == [expected]


@pytest.mark.parametrize("value", ["Append", "", 5, True, [], {"a": 1}])
def test_a_literal_is_one_of_its_words(value: object) -> None:
    expected = entry(CONST, "value_error.const", given=value, permitted=["append", "truncate"])
    assert refused(fields.Literal("append", "truncate"), {"field": value}) == [expected]


@pytest.mark.parametrize(
    "bad", ["\0", "a\0b", "\ud800", "é\udfff", "\udc80" + "a" * 300], ids=["nul", "a nul", "high", "low", "long"]
)
def test_text_that_no_database_holds_is_refused_wherever_it_stands(bad: str) -> None:
    assert not is_storable(bad)
    wrong = entry(NUL, "value_error")
    assert refused(fields.Text(max_length=255), {"field": bad}) == [wrong]
    assert refused(fields.Path(), {"field": bad}) == [wrong]
    assert refused(fields.Object(), {"field": {"a": [{"b": bad}]}}) == [wrong]
    assert refused(fields.Object(), {"field": {"a": [{bad: 1}]}}) == [wrong]
    assert refused(fields.List(fields.Text()), {"field": ["a", bad]}) == [entry(NUL, "value_error", 1)]


def test_errors_tell_where_in_the_value_they_are() -> None:
    not_text = ("str type expected", "type_error.str")
    assert refused(fields.List(fields.Text()), {"field": ["a", [], None]}) == [
        entry(*not_text, 1),
        entry("none is not an allowed value", "type_error.none.not_allowed", 2),
    ]
    assert refused(fields.Object(values=fields.Text()), {"field": {"a": [], "b": "", "c": {}}}) == [
        entry(*not_text, "a"),
        entry(*not_text, "c"),
    ]
    assert refused(fields.Nested(Inner), {"field": {"name": []}}) == [
        entry("field required", "value_error.missing", "size"),
        entry(*not_text, "name"),
    ]


def test_every_text_of_a_body_is_read_before_it_is_refused() -> None:
    schema = Schema.from_dict({"b": fields.Text(), "a": fields.Integer(), "c": fields.Boolean(required=True)})()
    with pytest.raises(ma.ValidationError) as error:
        schema.load({"a": "x", "b": []})
    assert [entry["loc"] for entry in entries(error.value.messages, "body")] == [
        ["body", "b"],
        ["body", "a"],
        ["body", "c"],
    ]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC), "2026-01-02T03:04:05.000060"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05"),
        (datetime(2026, 1, 2, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T23:00:00"),
        (None, None),
    ],
)
def test_a_timestamp_is_naive_utc_with_six_digits_or_none(moment: datetime | None, expected: str | None) -> None:
    schema = Schema.from_dict({"field": fields.Timestamp()})()
    assert schema.dump({"field": moment}) == {"field": expected}
    assert schema.load({"field": "2026-01-02T03:04:05"}) == {}


def test_a_field_of_a_related_row_is_null_without_one() -> None:
    schema = Schema.from_dict({"name": fields.Text(attribute="owner.name")})()
    assert schema.dump({"owner": {"name": "x"}}) == {"name": "x"}
    assert schema.dump({"owner": None}) == {"name": None}
