"""What is sent through wrk, and what is read from its output."""

from __future__ import annotations

import pytest

from benchmarks.load import LONGEST, Call, Load, LoadError, duration, lua, parse

PRINTED = """Running 2s test @ http://127.0.0.1:8000/jobbergate/job-scripts
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.24ms    2.10ms  38.60ms   91.20%
    Req/Sec     1.70k   120.00     1.90k    75.00%
  3406 requests in 2.00s, 51.20MB read
Requests/sec:   1703.00
Transfer/sec:     25.60MB
{"requests":3406,"seconds":2.000100,"p50":8.240,"p99":25.910,"slowest":38.600,"failures":0}
"""


def test_the_figures_are_those_that_the_script_prints() -> None:
    assert parse(PRINTED) == Load(requests=3406, seconds=2.0001, p50=8.24, p99=25.91, slowest=38.6)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (PRINTED.replace('"failures":0', '"failures":7'), "7 of 3406 requests failed"),
        (PRINTED.replace('"requests":3406', '"requests":0'), "no response within"),
        ("unable to connect", "unable to connect"),
    ],
)
def test_a_run_with_errors_or_without_answers_is_worth_nothing(printed: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        parse(printed)


def test_a_script_has_the_token_the_method_and_the_body() -> None:
    script = lua(Call("/path", "POST", '{"name": "a"}'), "secret")
    assert 'wrk.headers["Authorization"] = "Bearer secret"' in script
    assert 'wrk.method = "POST"' in script
    assert r'wrk.body = "{\"name\": \"a\"}"' in script
    assert "function request" not in script


def test_ids_take_turns() -> None:
    call = Call("/rows/{id}", ids=range(5, 30, 10))
    assert call.first_path == "/rows/5"
    script = lua(call, "secret")
    assert "(turn + 1) % 3" in script
    assert 'string.gsub("/rows/{id}", "{id}", tostring(5 + turn * 10))' in script


def test_a_round_is_longer_where_answers_are_slow() -> None:
    assert duration(2, connections=16, answer=0.001) == 2
    assert duration(2, connections=16, answer=0.1) == 5
    assert duration(2, connections=16, answer=10) == LONGEST
    assert duration(60, connections=16, answer=10) == 60
