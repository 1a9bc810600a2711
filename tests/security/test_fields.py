"""Whatever stands in a body, a query, a path or a header of any route is answered, and draws nothing out."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

import marshmallow as ma
import pytest
import yarl
from promises import Answer, answered

from jobbergate_devkit.server import EMAIL
from jobbergate_devkit.testing.route_caller import Operation, RouteCaller
from jobbergate_server.lists.query import ListQuery
from jobbergate_server.plugins.contribution import CONTRIBUTIONS
from jobbergate_server.routing.route import MOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobbergate_devkit.testing import Served

PLUGINS = ["service", "applications", "job-scripts", "job-submissions", "webhooks"]
"""The bundled plugins that have routes."""
WITH_BODIES = PLUGINS[1:]
EVIL = "evil@example.com"
LONG_AGO = "1999-01-01T00:00:00"
JSON = {"Content-Type": "application/json"}
NO_REQUEST = {"detail": "The request could not be read."}
UNREADABLE = (400, {"detail": "There was an error parsing the body"})

VALUES = [
    r'"\u0000"',
    r'"\ud800"',
    r'"a\udfffb"',
    r'"\u0001\u001b[2J\u007f\u0085\u2028\ufeff\uffff"',
    r'"\u202egnp.exe"',
    '""',
    '" "',
    '"' + "A" * 100_000 + '"',
    '"' + "😀" * 300 + '"',
    '"1; DROP TABLE job_scripts; --"',
    "\"' OR ''='\"",
    '"{{ 7 * 7 }}${7*7}%s%n%x"',
    '"../../../../etc/passwd"',
    "null",
    "true",
    "0.5",
    "-0.0",
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    *(str(number) for limit in (2**31, 2**63) for number in (limit - 1, limit, -limit, -limit - 1)),
    "9" * 4000,
    "[]",
    "{}",
    "[[]]",
    '["x",1,null,{}]',
    '{"":""}',
    r'{"\u0000":"\ud800"}',
    '{"$ne":null,"__class__":"x","__proto__":{"admin":true}}',
    "[" * 150 + "]" * 150,
    '{"a":' * 150 + "1" + "}" * 150,
]
"""JSON as it is sent, because no writer of JSON writes most of it."""
TEXTS = [
    "",
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF",
    "%0d%0aX-Injected:%20yes",
    "%0a",
    "%1b%5b2J%c2%85%e2%80%a8%e2%80%ae",
    "%F0%9F%98%80" * 100,
    "%27%20OR%20%27%27=%27",
    "1;DROP%20TABLE%20job_scripts",
    "%25_%5C",
    "%25s%25n",
    "%7B%7B7*7%7D%7D",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "null",
    "true",
    "-0",
    "0.5",
    "1e400",
    "NaN",
    "0x7",
    "7_7",
    "%D9%A7",
    *(str(number) for limit in (2**31, 2**63) for number in (limit - 1, limit, -limit, -limit - 1)),
    "9" * 4000,
    "9" * 5000,
    "a" * 7000,
    "a,b,,",
    ",".join(str(2**40 + number) for number in range(400)),
    "%20".join(["x"] * 64),
    "%20".join(["x", "y"] * 900),
]
"""Percent-encoded text, as it stands in a path or a query."""
HEADERS = [
    {"X-Request-ID": "a" * 129},
    {"X-Request-ID": "a\tb"},
    {"X-Request-ID": "ä<script>"},
    {"Content-Type": ""},
    {"Content-Type": ";;;=\"'"},
    {"Content-Type": "application/json; charset=no-such"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "application/" + "x" * 7000},
    {"Content-Encoding": "br"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "identity, gzip, x"},
    {"Accept": "text/html"},
    {"Accept": "x" * 7000},
    {"Accept-Language": "../../etc/passwd"},
    {"Cookie": "a=" + "b" * 7000},
    {"Cookie": '";\\=,$Version'},
    {"Expect": "100-continue"},
    {"Expect": "everything"},
    {"Host": "evil.example.com"},
    {"Host": ""},
    {"If-Match": '"x"'},
    {"If-Modified-Since": "yesterday"},
    {"If-None-Match": "*"},
    {"Origin": "null"},
    {"Range": "bytes=9-1"},
    {"Referer": "javascript:alert(1)"},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
    {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "gopher"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-Original-URL": "/jobbergate/plugins", "X-Rewrite-URL": "/jobbergate/plugins"},
    {f"X-{number}": "y" for number in range(60)},
]


class Attacker:
    """Sends requests to the operations of one plugin, and notes what is wrong with the answers."""

    def __init__(self, served: Served, slug: str) -> None:
        contribution = next(it for it in served.app[CONTRIBUTIONS] if it.plugin.slug == slug)
        self.operations = RouteCaller(served, contribution, EMAIL).operations
        self.complaints: list[str] = []
        self._client = served.client_as(email=EMAIL)

    def bodies(self) -> Iterator[tuple[Operation, dict[str, Any]]]:
        """The operations that take JSON, each with a body that it takes."""
        for operation in self.operations:
            if operation.body_schema is not None:
                yield operation, dict(operation.sample or {})

    def lists(self) -> Iterator[Operation]:
        """The operations that are lists."""
        return (it for it in self.operations if isinstance(it.route.handler, ListQuery))

    async def send(
        self,
        operation: Operation,
        what: str,
        *,
        parameter: str = "1",
        query: str = "",
        data: str | bytes | BytesIO | None = None,
        headers: Mapping[str, str] = JSON,
    ) -> Answer:
        """Send a request with ``parameter`` in the place of each parameter of the path; ``what`` is hostile in it."""
        path = MOUNT + re.sub(r"\{[^}]*\}", lambda _: parameter, operation.path)
        url = yarl.URL(f"{path}?{query}" if query else path, encoded=True)
        async with self._client.request(
            operation.route.method, url, data=data, headers=headers, allow_redirects=False
        ) as response:
            answer = await answered(response)
        if answer.complaint:
            self.complaints.append(f"{operation} with {what}: {answer.complaint}")
        if "X-Injected" in answer.headers:
            self.complaints.append(f"{operation} with {what}: adds a header")
        return answer


async def attack(served: Served, slug: str) -> Attacker:
    """An attacker of the plugin, after there is a row 1 of each kind."""
    for other in ("job-submissions", "webhooks"):
        maker = Attacker(served, other)
        for operation, sample in maker.bodies():
            if operation.route.method == "POST":
                answer = await maker.send(operation, "a sample", data=json.dumps(sample))
                assert answer.status == 201, answer.json
    return Attacker(served, slug)


def places(schema: ma.Schema, *way: str) -> Iterator[tuple[str, ...]]:
    """The way to each field of a body, also of objects inside."""
    for name, field in schema.load_fields.items():
        yield (*way, field.data_key or name)
        inner = getattr(field, "schema", None)
        if isinstance(inner, ma.Schema):
            yield from places(inner, *way, name)


def changed(body: Mapping[str, Any], way: tuple[str, ...], value: str) -> str:
    """The body as JSON, with ``value`` in the place that ``way`` leads to."""
    first, *rest = way
    inner = body.get(first)
    text = changed(inner if isinstance(inner, dict) else {}, tuple(rest), value) if rest else value
    members = [f"{json.dumps(name)}:{json.dumps(item)}" for name, item in body.items() if name != first]
    return "{" + ",".join([*members, f"{json.dumps(first)}:{text}"]) + "}"


@pytest.mark.parametrize("slug", WITH_BODIES)
async def test_any_value_in_any_field_of_a_body(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation, sample in attacker.bodies():
        schema = operation.body_schema
        assert schema is not None
        for way in places(schema):
            for value in VALUES:
                what = f"{'.'.join(way)}={value[:40]}"
                answer = await attacker.send(operation, what, data=changed(sample, way, value))
                if answer.status not in {200, 201, 400, 404, 409, 413, 422}:
                    attacker.complaints.append(f"{operation} with {what}: {answer.status}")
    for operation in attacker.operations:  # what was taken can be read again
        if operation.route.method == "GET":
            await attacker.send(operation, "what was written before")
    assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("slug", WITH_BODIES)
async def test_any_body_that_is_no_object(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    deep, wide = "[" * 100_000 + "]" * 100_000, ",".join(["0"] * 20_001)
    for operation, sample in attacker.bodies():
        first = json.dumps(next(iter(sample)))
        for body in ["", " ", "{", "[]", "5", '"x"', "nul", "\0", "\ufeff", '{"a":1}}', "'{}'", "{a:1}", *VALUES]:
            answer = await attacker.send(operation, f"the body {body[:40]}", data=body.encode())
            assert answer.status in {400, 422} or body.startswith("{"), body
        for body in (deep, '{"x":' * 100_000, f"{{{first}:{deep}}}", f"{{{first}:[{wide}]}}", f'{{"x":[{wide}]}}'):
            answer = await attacker.send(operation, f"the body {body[:40]}", data=body)
            assert (answer.status, answer.json) == UNREADABLE
        answer = await attacker.send(operation, "bytes", data=bytes(range(256)))
        assert (answer.status, answer.json) == UNREADABLE
        large = BytesIO(f'{{{first}:"{"A" * 10_000_000}"}}'.encode())
        answer = await attacker.send(operation, "ten megabytes", data=large)
        assert (answer.status, answer.json) == (413, {"detail": "Request Entity Too Large"})
    assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("slug", WITH_BODIES)
async def test_of_a_key_that_is_sent_twice_the_last_is_judged_and_used(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation, sample in attacker.bodies():
        for name in sample:
            good, bad = json.dumps(sample[name]), "[[]]"
            others = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in sample.items() if key != name]
            for pair, is_good in (((bad, good), True), ((good, bad), False)):
                members = ",".join([*others, *(f"{json.dumps(name)}:{value}" for value in pair)])
                answer = await attacker.send(operation, f"{name} twice", data=f"{{{members}}}")
                assert (answer.status != 422) is is_good, (str(operation), name, answer.json)
    assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("path", "body"),
    {
        "job-scripts": {"job_script_name": "x", "sbatch_params": [{}] * 19_000},
        "job-submissions": {"execution_parameters": dict.fromkeys(map(str, range(19_000)), 0)},
        "webhooks": {"url": "https://example.com", "events": ["x"] * 19_000},
    }.items(),
    ids=["wrong type", "unknown name", "unknown value"],
)
async def test_an_answer_names_no_more_than_100_wrong_values(attacked: Served, path: str, body: dict[str, Any]) -> None:
    async with attacked.client_as().post(f"/jobbergate/{path}", json=body) as response:
        assert response.status == 422
        assert len((await response.json())["detail"]) == 100


@pytest.mark.parametrize("slug", PLUGINS)
async def test_any_text_in_any_parameter_of_a_query(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation in attacker.operations:
        schema = operation.route.request_schemas.get("querystring")
        for name in ["unknown", *(schema.load_fields if schema else ())]:
            for text in TEXTS:
                if schema or text == "%00":
                    await attacker.send(operation, f"{name}={text[:40]}", query=f"{name}={text}", data="{}")
        if schema:
            names = [field.data_key or name for name, field in schema.load_fields.items()]
            for query in ("&".join(f"{name}=1&{name}=%00" for name in names), "&" * 3000, "=" * 3000, "a;b?c#d"):
                await attacker.send(operation, f"the query {query[:40]}", query=query, data="{}")
    assert attacker.complaints == [], "\n".join(attacker.complaints)


async def test_wildcards_of_sql_are_plain_characters_in_every_search(attacked: Served) -> None:
    for slug in WITH_BODIES:
        attacker = await attack(attacked, slug)
        for operation in attacker.lists():
            everything = await attacker.send(operation, "nothing", query="all=true")
            for text in ("%25", "%25%25", "__", "_%25", "%5C", "%5C%25", "*", "%5B-z%5D", ".*"):
                found = await attacker.send(operation, text, query=f"all=true&search={text}")
                assert found.status == 200
                assert found.json["pagination"]["total"] == 0, (str(operation), text, everything.json)
        assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.parametrize("slug", PLUGINS)
async def test_any_text_in_any_path(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation in attacker.operations:
        if operation.has_parameters:
            data = json.dumps(operation.sample) if operation.body_schema else None
            for text in TEXTS:
                answer = await attacker.send(operation, f"the id {text[:40]}", parameter=text, data=data)
                assert answer.status not in {200, 201, 204} or not text, (str(operation), text)
                assert answer.headers.get("Location", MOUNT).startswith(MOUNT)
    assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("slug", PLUGINS)
async def test_any_header_of_any_route(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation in attacker.operations:
        if operation.route.method == "DELETE":  # of which the first would leave nothing for the others
            continue
        data = json.dumps(operation.sample) if operation.body_schema else None
        for headers in HEADERS:
            answer = await attacker.send(
                operation, str(headers)[:60], data=data, headers={**(JSON if data else {}), **headers}
            )
            if answer.json != NO_REQUEST:
                assert re.fullmatch(r"[ -~]{1,128}", answer.headers["X-Request-ID"])
    assert attacker.complaints == [], "\n".join(attacker.complaints)


def hostile(field: ma.fields.Field[Any], name: str, before: Mapping[str, Any]) -> object:
    """A value that a client would like to set, and that is not there ``before``."""
    if name.endswith("_at"):
        return LONG_AGO
    if name.endswith("email"):
        return EVIL
    kinds: list[tuple[type, object]] = [
        (ma.fields.Boolean, not before.get(name)),
        (ma.fields.Integer, 999_999),
        (ma.fields.Nested, {"main_file_path": "evil", "files": {"evil": "evil"}, "tasks": 999_999}),
        (ma.fields.Mapping, {"evil": "evil"}),
    ]
    return next(
        (value for kind, value in kinds if isinstance(field, kind)), "COMPLETED" if name == "status" else "evil"
    )


@pytest.mark.parametrize("slug", WITH_BODIES)
async def test_what_a_client_may_not_set_is_ignored(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    for operation, sample in attacker.bodies():
        shown, taken = operation.route.response_schema, operation.body_schema
        assert shown is not None
        assert taken is not None
        is_change = operation.route.method == "PUT"
        before = (await attacker.send(operation, "a sample", data=json.dumps(sample))).json if is_change else {}
        forbidden = {name: field for name, field in shown.dump_fields.items() if name not in taken.load_fields}
        wished = {name: hostile(field, name, before) for name, field in forbidden.items()}
        assert {"id", "created_at", "updated_at"} < set(wished)
        answer = await attacker.send(operation, "more than it may", data=json.dumps({**sample, **wished}))
        assert answer.status == operation.route.status, answer.json
        for name, value in wished.items():
            assert answer.json[name] != value, (str(operation), name)
        assert EVIL not in json.dumps(answer.json)
    assert attacker.complaints == [], "\n".join(attacker.complaints)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("slug", PLUGINS)
async def test_any_other_method_is_not_allowed(attacked: Served, slug: str) -> None:
    attacker = await attack(attacked, slug)
    client = attacked.client()
    for operation in attacker.operations:
        path = MOUNT + re.sub(r"\{[^}]*\}", "1", operation.path)
        for method in ("TRACE", "PROPFIND", "OPTIONS"):
            async with client.request(method, path) as response:
                answer = await answered(response)
                assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
                assert answer.complaint is None
