"""The execution parameters that clients send and are shown; those of `#SBATCH` lines have tests of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Call
    from plugins.job_submissions.tests.conftest import Add, AddScript

    Send = Callable[[object], Awaitable[tuple[int, Any]]]

URL = "/jobbergate/job-submissions"
TYPES = {
    "account": "text",
    "account_gather_frequency": "text",
    "argv": "list",
    "array": "text",
    "batch_features": "text",
    "begin_time": "text",
    "burst_buffer": "text",
    "cluster_constraints": "text",
    "comment": "text",
    "constraints": "text",
    "core_specification": "integer",
    "cores_per_socket": "integer",
    "cpu_binding": "text",
    "cpu_binding_hint": "text",
    "cpu_frequency": "text",
    "cpus_per_gpu": "text",
    "cpus_per_task": "integer",
    "current_working_directory": "text",
    "deadline": "text",
    "delay_boot": "integer",
    "dependency": "text",
    "distribution": "text",
    "environment": "object",
    "exclusive": "word",
    "get_user_environment": "bit",
    "gres": "text",
    "gres_flags": "word",
    "gpu_binding": "text",
    "gpu_frequency": "text",
    "gpus": "text",
    "gpus_per_node": "text",
    "gpus_per_socket": "text",
    "gpus_per_task": "text",
    "hold": "boolean",
    "kill_on_invalid_dependency": "boolean",
    "licenses": "text",
    "mail_type": "text",
    "mail_user": "text",
    "mcs_label": "text",
    "memory_binding": "text",
    "memory_per_cpu": "integer",
    "memory_per_gpu": "integer",
    "memory_per_node": "text",
    "minimum_cpus_per_node": "integer",
    "minimum_nodes": "boolean",
    "name": "text",
    "nice": "text",
    "no_kill": "boolean",
    "nodes": "text",
    "open_mode": "word",
    "partition": "text",
    "priority": "text",
    "qos": "text",
    "requeue": "boolean",
    "reservation": "text",
    "signal": "text",
    "sockets_per_node": "integer",
    "spread_job": "boolean",
    "standard_error": "text",
    "standard_input": "text",
    "standard_output": "text",
    "tasks": "integer",
    "tasks_per_core": "integer",
    "tasks_per_node": "integer",
    "tasks_per_socket": "integer",
    "thread_specification": "integer",
    "threads_per_core": "integer",
    "time_limit": "text",
    "time_minimum": "integer",
    "wait_all_nodes": "bit",
    "wckey": "text",
}
WORDS = {
    "exclusive": ["user", "mcs", "exclusive", "oversubscribe"],
    "gres_flags": ["disable-binding", "enforce-binding"],
    "open_mode": ["append", "truncate"],
}
NOT_STORABLE = ("text must not contain NUL characters or lone surrogates", "value_error")
UNSET = {**dict.fromkeys(TYPES), "get_user_environment": 1}


@pytest.fixture
def send(call: Call, script_id: int) -> Send:
    """Ask for a submission with these execution parameters."""

    async def send(parameters: object) -> tuple[int, Any]:
        body = {"job_submission_name": "x", "job_script_id": script_id, "execution_parameters": parameters}
        return await call("POST", URL, json=body)

    return send


def entry(msg: str, kind: str, *loc: str | int, **ctx: object) -> dict[str, object]:
    """An entry of a 422 answer for what stands at ``loc`` in the parameters."""
    loc = ("body", "execution_parameters", *loc)
    return {"loc": list(loc), "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}


async def test_an_answer_shows_all_71_in_their_order(add: Add, call: Call) -> None:
    row = await add()
    assert len(TYPES) == 71
    assert list(row["execution_parameters"]) == list(TYPES)
    assert row["execution_parameters"] == UNSET
    (listed,) = (await call("GET", URL))[1]["results"]
    read = (await call("GET", f"{URL}/{row['id']}"))[1]
    changed = (await call("PUT", f"{URL}/{row['id']}", json={}))[1]
    for answer in (listed, read, changed):
        assert list(answer["execution_parameters"].items()) == list(UNSET.items())


async def test_every_parameter_can_be_set(add: Add, call: Call) -> None:
    examples: dict[str, object] = {
        "text": "a größe",
        "list": ["a", "b"],
        "integer": -(2**31),
        "object": {"z": "1", "a": ""},
        "boolean": True,
        "bit": 0,
    }
    sent = {name: WORDS[name][0] if kind == "word" else examples[kind] for name, kind in TYPES.items()}
    row = await add(execution_parameters=dict(reversed(sent.items())))
    assert list(row["execution_parameters"].items()) == list(sent.items())
    assert (await call("GET", f"{URL}/{row['id']}"))[1] == row


async def test_values_are_read_like_all_others(add: Add) -> None:
    examples: dict[str, tuple[object, object]] = {
        "text": (5, "5"),
        "list": ([1, True, "x"], ["1", "True", "x"]),
        "integer": (" 0_7", 7),
        "object": ({"a": 1, "b": False}, {"a": "1", "b": "False"}),
        "boolean": ("OFF", False),
        "bit": ("1", 1),
    }
    given = {name: examples[kind] for name, kind in TYPES.items() if kind != "word"}
    row = await add(execution_parameters={name: sent for name, (sent, _) in given.items()})
    expected = {name: kept for name, (_, kept) in given.items()}
    assert row["execution_parameters"] == {**UNSET, **expected}


async def test_null_hides_every_default(add: Add, call: Call) -> None:
    row = await add(execution_parameters=dict.fromkeys(TYPES))
    assert row["execution_parameters"] == dict.fromkeys(TYPES)
    assert (await call("GET", f"{URL}/{row['id']}"))[1] == row


async def test_what_is_sent_wins_over_what_the_script_sets(add: Add, add_script: AddScript) -> None:
    script_id = await add_script("#!/bin/bash\n#SBATCH --ntasks=2\n#SBATCH --comment=script\n#SBATCH --account=mine\n")
    sent = {"tasks": 4, "comment": None}
    row = await add(job_script_id=script_id, execution_parameters=sent)
    assert row["execution_parameters"] == {**UNSET, **sent, "account": "mine"}


@pytest.mark.parametrize("word", ["exclusive", "gres_flags", "open_mode"])
async def test_some_are_one_of_a_few_words(send: Send, word: str) -> None:
    for value in WORDS[word]:
        status, row = await send({word: value})
        assert (status, row["execution_parameters"][word]) == (201, value)
    msg = f"unexpected value; permitted: {', '.join(repr(value) for value in WORDS[word])}"
    odd: list[object] = [WORDS[word][0].upper(), "", 5, 10**30, True, [], {"a": 1}]
    for bad in odd:
        expected = entry(msg, "value_error.const", word, given=bad, permitted=WORDS[word])
        assert await send({word: bad}) == (422, {"detail": [expected]})


@pytest.mark.parametrize("name", ["get_user_environment", "wait_all_nodes"])
async def test_some_are_zero_or_one(send: Send, name: str) -> None:
    for value in (0, 1):
        assert (await send({name: value}))[1]["execution_parameters"][name] == value
    le = entry("ensure this value is less than or equal to 1", "value_error.number.not_le", name, limit_value=1)
    ge = entry("ensure this value is greater than or equal to 0", "value_error.number.not_ge", name, limit_value=0)
    assert await send({name: 2}) == (422, {"detail": [le]})
    assert await send({name: 10**30}) == (422, {"detail": [le]})
    assert await send({name: -1}) == (422, {"detail": [ge]})


async def test_unknown_parameters_are_refused_in_their_order_after_all_others(send: Send) -> None:
    extra = ("extra fields not permitted", "value_error.extra")
    status, answer = await send({"zzz": 1, "tasks": "x", "Account": "a", "account": []})
    assert status == 422
    assert answer["detail"] == [
        entry("str type expected", "type_error.str", "account"),
        entry("value is not a valid integer", "type_error.integer", "tasks"),
        entry(*extra, "Account"),
        entry(*extra, "zzz"),
    ]
    assert await send({"": None}) == (422, {"detail": [entry(*extra, "")]})


@pytest.mark.parametrize("bad", ["", "{}", 5, True, [], ["tasks"]])
async def test_parameters_are_an_object(send: Send, bad: object) -> None:
    assert await send(bad) == (422, {"detail": [entry("value is not a valid dict", "type_error.dict")]})


async def test_parameters_are_not_null(send: Send) -> None:
    null = entry("none is not an allowed value", "type_error.none.not_allowed")
    assert await send(None) == (422, {"detail": [null]})


async def test_errors_tell_where_they_are(send: Send) -> None:
    text = ("str type expected", "type_error.str")
    null = ("none is not an allowed value", "type_error.none.not_allowed")
    boolean = ("value could not be parsed to a boolean", "type_error.bool")
    sent: dict[str, object] = {
        "argv": ["a", None, {}],
        "environment": {"a": "", "b": None, "c": []},
        "hold": "",
        "memory_per_cpu": "4G",
        "name": {},
    }
    assert await send(sent) == (
        422,
        {
            "detail": [
                entry(*null, "argv", 1),
                entry(*text, "argv", 2),
                entry(*null, "environment", "b"),
                entry(*text, "environment", "c"),
                entry(*boolean, "hold"),
                entry("value is not a valid integer", "type_error.integer", "memory_per_cpu"),
                entry(*text, "name"),
            ]
        },
    )
    assert await send({"argv": "a"}) == (
        422,
        {"detail": [entry("value is not a valid list", "type_error.list", "argv")]},
    )
    not_object = entry("value is not a valid dict", "type_error.dict", "environment")
    assert await send({"environment": ["a"]}) == (422, {"detail": [not_object]})


async def test_integers_are_int4(send: Send) -> None:
    names = [name for name, kind in TYPES.items() if kind == "integer"]
    le = ("ensure this value is less than or equal to 2147483647", "value_error.number.not_le")
    ge = ("ensure this value is greater than or equal to -2147483648", "value_error.number.not_ge")
    too_large = [entry(*le, name, limit_value=2**31 - 1) for name in names]
    too_small = [entry(*ge, name, limit_value=-(2**31)) for name in names]
    assert await send(dict.fromkeys(names, 2**31)) == (422, {"detail": too_large})
    assert await send(dict.fromkeys(names, -(10**30))) == (422, {"detail": too_small})


async def test_text_that_no_database_holds_is_refused(send: Send) -> None:
    for bad in ("a\0", "\ud800", "a\udfff"):
        assert await send({"account": bad}) == (422, {"detail": [entry(*NOT_STORABLE, "account")]})
        assert await send({"argv": [bad]}) == (422, {"detail": [entry(*NOT_STORABLE, "argv", 0)]})
        for environment in ({"a": bad}, {bad: "a"}):
            answer = await send({"environment": environment})
            assert answer == (422, {"detail": [entry(*NOT_STORABLE, "environment")]})
        for odd in ({"exclusive": bad}, {bad: 1}):
            assert (await send(odd))[0] == 422


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("USR1@60", "USR1@60"),
        ("B:USR1", "USR1"),
        ("R:USR1", "R:USR1"),
        ("BR:USR1", "R:USR1"),
        ("RB:USR1@5", "R:USR1@5"),
        ("b:USR1", "b:USR1"),
        ("B:", ""),
        ("", ""),
        (10, "10"),
        (None, None),
    ],
)
async def test_a_signal_is_not_told_that_the_batch_shell_gets_it(send: Send, sent: object, kept: str | None) -> None:
    status, row = await send({"signal": sent})
    assert (status, row["execution_parameters"]["signal"]) == (201, kept)


async def test_no_parameter_is_the_servers_fault(send: Send) -> None:
    odd: list[object] = ["", "\0", "\ud800", -1, 10**30, 1e308, True, [[]], {"a": {}}, {"\0": "\ud800"}, ["\0"]]
    for value in odd:
        assert (await send(dict.fromkeys(TYPES, value)))[0] < 500, value
        for name in ("argv", "environment", "exclusive", "signal", "tasks", "hold"):
            assert (await send({name: value}))[0] < 500, (name, value)
