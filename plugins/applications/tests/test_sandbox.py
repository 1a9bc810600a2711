"""What users upload is read in child processes: within limits that are named, and with nothing to be found there."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from workers import OTHERS, children, rendered, until, until_busy

from jobbergate_applications import sandbox as sandbox_module
from jobbergate_applications import worker
from jobbergate_applications.sandbox import JOBS, POOL_SIZE, SANDBOX, Sandbox
from jobbergate_server import Unprocessable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import Served

CONFIG = "application_config: {}\njobbergate_config: {default_template: main.j2}\n"
CPU = "Limit exceeded: the job needs more than 2 s of CPU time."
WALL = "Limit exceeded: the job takes longer than 0.1 s."
MEMORY = "Limit exceeded: the job needs more than 256 MiB of memory."
OUTPUT = "Limit exceeded: the output is larger than 2 MiB."
DEEP = "Limit exceeded: the nesting is too deep."
SLOW = "{% for a in range(9999) %}{% for b in range(999) %}{% endfor %}{% endfor %}"
BURN = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
PREFIX = re.compile(r"Error rendering the main file -- .*", re.DOTALL)
in_the_pool = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def others() -> None:
    """Leave the processes out of `children` that are there before the test: those of `pool`."""
    OTHERS.clear()
    OTHERS.update(children())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[Sandbox]:
    """A pool of one process for all tests of jobs, which do not look at processes."""
    pool = Sandbox(1)
    yield pool
    await pool.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A pool of one process that has done a job, so that each one comes after the one before."""
    pool = Sandbox(1)
    await rendered(pool, "")
    yield pool
    await pool.close()


async def refused(sandbox: Sandbox, operation: str, **arguments: object) -> str:
    """Why the job is refused, after which the pool goes on working."""
    with pytest.raises(Unprocessable) as error:
        await sandbox.run(operation, **arguments)
    assert await rendered(sandbox, "{{ data.x }}", x=1) == "1"
    return str(error.value.detail)


async def refused_template(sandbox: Sandbox, template: str) -> str:
    return await refused(sandbox, "render", config=CONFIG, overrides={}, templates={"main.j2": template})


@pytest.mark.parametrize(
    ("template", "reasons"),
    {
        BURN: [CPU],
        "{{ 10 ** (10 ** 10) }}": [CPU, MEMORY],
        "{% set x = 3 ** 9999999 %}{{ x % 7 }}{{ (x * x * x) % 7 }}": [CPU, MEMORY],
        "{{ ('a' * 30 ~ 'b') | wordwrap(1) * 100000000 }}": [MEMORY, OUTPUT],
        "{{ 'x' * 10 ** 9 }}": [MEMORY],
        "{{ [0] * 10 ** 9 }}": [MEMORY],
        "{{ 'x' | center(10 ** 10) }}": [MEMORY],
        "{{ '%01000000000d' % 1 }}": [MEMORY],
        "{{ '{:>1000000000}'.format(1) }}": [MEMORY],
        "{{ 'x' * 3000000 }}": [OUTPUT],
        "{{ 'é' * 1100000 }}": [OUTPUT],
        "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}": [OUTPUT],
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": [DEEP],
        "{% macro f(n) %}{{ caller() }}{% call f(n) %}{% endcall %}{% endmacro %}{% call f(1) %}{% endcall %}": [DEEP],
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}": [DEEP],
        "{{ " + "[" * 50000 + "]" * 50000 + " }}": [DEEP],
        "{{ " + "-" * 50000 + "1 }}": [DEEP],
        "{% if 1 %}" * 5000 + "{% endif %}" * 5000: [DEEP],
        "{% set n = namespace(x=[]) %}" + "{% set n.x = [n.x] %}" * 1500 + "{{ n.x }}": [DEEP],
    }.items(),
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
@in_the_pool
async def test_a_template_that_breaks_a_limit_is_told_which(pool: Sandbox, template: str, reasons: list[str]) -> None:
    assert await refused_template(pool, template) in reasons


@in_the_pool
async def test_the_limit_of_output_holds_for_all_files_together(pool: Sandbox) -> None:
    def job(size: int, copies: int) -> dict[str, Any]:
        names = {"sup.j2": [str(number) for number in range(copies)]}
        sections = {"jobbergate_config": {"default_template": "main.j2", "supporting_files_output_name": names}}
        return {"config": CONFIG, "overrides": sections, "templates": {"main.j2": "m", "sup.j2": "x" * size}}

    mebibyte = 2**20
    assert len((await pool.run("render", **job(mebibyte, 1)))["supporting"][0]["text"]) == mebibyte
    assert await refused(pool, "render", **job(mebibyte, 2)) == OUTPUT
    await pool.run("render", **job(1, 99))
    assert await refused(pool, "render", **job(1, 100)) == "Limit exceeded: a job script has at most 100 files."


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    {
        "source: brackets": ("source", "(" * 100_000, "too many nested parentheses"),
        "source: operators": ("source", "-" * 100_000 + "1", "nesting is too deep|memory"),
        "source: attributes": ("source", "a" + ".a" * 200_000, "nesting is too deep|memory"),
        "source: additions": ("source", "+".join("1" * 100_000), "nesting is too deep|memory"),
        "source: indents": ("source", "".join(f"{' ' * n}if 1:\n" for n in range(150)), "too many levels"),
        "source: a number": ("source", "9" * 200_000, "digits"),
        "source: powers": ("source", "x = 9" + "**9" * 50_000, "nesting is too deep|memory"),
        "config: lists": ("config", "[" * 30_000, "nest|CPU|stream|parsing"),
        "config: maps": ("config", "{a: " * 20_000, "nest|CPU|stream|parsing"),
        "config: blocks": ("config", "- " * 30_000, "nest|CPU|stream|parsing"),
        "config: a number": ("config", "a: " + "9" * 60_000, "digits"),
        "config: a bomb": ("config", "a: &a [1]\nb: [*a, *a]\n", "aliases are not allowed"),
        "config: merging": ("config", "a: &a {b: 1}\nc: {<<: *a}\n", "aliases are not allowed"),
        "config: an object": ("config", "!!python/object/apply:os.system [id]", "could not determine a constructor"),
        "config: a tag": ("config", "!x y", "could not determine a constructor"),
        "template: loops": ("template", "{% for a in b %}" * 30_000, "nesting is too deep"),
        "template: brackets": ("template", "{{ " + "(" * 30_000, "nesting is too deep"),
    }.values(),
    ids=lambda value: value[:12],
)
@in_the_pool
async def test_a_file_that_cannot_be_read_within_the_limits_is_told_so(
    pool: Sandbox, kind: str, text: str, reason: str
) -> None:
    try:
        lines = await pool.run("check", files=[{"kind": kind, "name": "bad", "text": text}])
    except Unprocessable as error:
        lines = [str(error.detail)]
    assert any(part in " ".join(lines) for part in reason.split("|")), lines
    assert await rendered(pool, "{{ data.x }}", x=1) == "1"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}{{ ''['__class__'].__base__ }}",
        "{{ (''|attr('__class__')).__mro__ }}",
        "{{ data.x|attr('__class__')|attr('__base__')|string }}",
        "{{ data.__class__.__init__.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context.environment.__class__ }}",
        "{{ range.__self__.__import__('os') }}",
        "{{ namespace.__init__.__globals__.os.environ }}",
        "{{ dict.__base__.__subclasses__() }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ joiner.__init__.__globals__.os }}",
        "{{ lipsum(n=1000000) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ '{0.__class__.__mro__}'|format(1) ~ '{0.__class__}'.format(1).x.y }}",
        "{{ '{x.__class__}'.format_map({'x': 1}) }}",
        "{{ ''.format.__globals__ }}",
        "{{ (1).__class__.__bases__[0] }}",
        "{% set f = ''.__class__ %}{{ f.__bases__ }}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func.__globals__ }}",
        "{{ m.__call__.__func__.__globals__ }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "{{ data.update({'x': 2}) }}",
        "{{ data.names.append(1) }}",
        "{{ data.names.clear() }}",
        "{% include '/etc/passwd' %}",
        "{% extends 'main.j2' %}",
        "{% import 'os' as os %}",
        "{% from 'os' import system %}",
        "{{ open('/etc/passwd').read() }}",
        "{{ __import__('os') }}",
        "{{ eval('1') }}",
        "{{ [].__reduce_ex__(2) }}",
        "{% set x = (data.x for y in []) %}",
        "{{ (namespace(a=1)).__dict__['x'].y }}",
        "{{ caller.__globals__.x }}",
        "{{ varargs.__class__.__base__ }}",
        "{{ range(100001) }}",
    ],
)
@in_the_pool
async def test_a_template_reaches_nothing_but_its_values(pool: Sandbox, template: str) -> None:
    sections = {"application_config": {"x": 1, "names": [0]}, "jobbergate_config": {"default_template": "main.j2"}}
    arguments = {"config": CONFIG, "overrides": sections, "templates": {"main.j2": template}}
    try:
        text = (await pool.run("render", **arguments))["main"]
    except Unprocessable as error:
        text = PREFIX.sub("", str(error.detail))
    assert not text.strip()


async def test_a_process_knows_nothing_of_the_server(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBBERGATE_SECRET", "of the server")
    (pid,) = children()
    process = Path(f"/proc/{pid}")
    assert process.joinpath("environ").read_bytes() == b""
    assert b"\0-I\0" in process.joinpath("cmdline").read_bytes()
    assert await rendered(sandbox, "x") == "x"
    limits = dict(line.split("  ", 1) for line in process.joinpath("limits").read_text().splitlines())
    assert limits["Max address space"].split()[:2] == [str(256 * 2**20)] * 2
    assert limits["Max file size"].split()[:2] == ["0"] * 2
    assert limits["Max core file size"].split()[:2] == ["0"] * 2


async def test_a_process_is_replaced_after_its_jobs_and_works_until_the_other_is_there(sandbox: Sandbox) -> None:
    (first,) = children()

    def replaced() -> bool:
        present = children()
        assert present
        return first not in present

    for _ in range(JOBS - 3):
        await rendered(sandbox, "x")
    assert children() == [first]
    await rendered(sandbox, "x")
    await until(replaced)
    (second,) = children()
    await rendered(sandbox, "x")
    assert children() == [second]


@pytest.mark.database("sqlite")
async def test_the_processes_are_there_before_the_first_job(served: Served) -> None:
    await until(lambda: len(children()) == POOL_SIZE)
    ready = children()
    assert await rendered(served.app[SANDBOX], "x") == "x"
    assert children() == ready


async def test_a_job_leaves_nothing_behind_for_the_next_one(sandbox: Sandbox) -> None:
    counting = "{% set n = namespace(x=data.x) %}{% set n.x = n.x + 1 %}{% set y = n.x %}{{ y }}{{ z }}{% set z = 1 %}"
    (pid,) = children()
    assert [await rendered(sandbox, counting, x=x) for x in (1, 1, 5)] == ["2", "2", "6"]
    assert children() == [pid]


def test_a_text_is_parsed_once_and_what_it_holds_is_everybodys_own() -> None:
    assert worker.compiled("{{ data.x }}") is worker.compiled("{{ data.x }}")
    long = "x" * (worker.CACHED_TEXT + 1)
    assert worker.compiled(long) is not worker.compiled(long)
    worker.read_yaml("a: [1]")["a"].append(2)
    assert worker.read_yaml("a: [1]") == {"a": [1]}


async def test_a_process_that_is_killed_in_the_middle_of_a_job_is_replaced(sandbox: Sandbox) -> None:
    (pid,) = children()
    job = asyncio.create_task(refused_template(sandbox, BURN))
    await until_busy(pid)
    os.kill(pid, signal.SIGKILL)
    assert await job == MEMORY
    assert pid not in children()


async def test_a_job_ends_well_when_a_service_manager_tells_all_processes_to_stop(sandbox: Sandbox) -> None:
    (pid,) = children()
    job = asyncio.create_task(rendered(sandbox, f"{SLOW}done"))
    await until_busy(pid)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    assert await job == "done"
    assert children() == [pid]


async def test_a_process_that_is_told_to_stop_while_it_starts_is_replaced() -> None:
    pool = Sandbox(1)
    job = asyncio.create_task(rendered(pool, "x"))
    await until(lambda: bool(children()))
    (pid,) = children()
    os.kill(pid, signal.SIGTERM)
    assert await job == "x"
    assert pid not in children()
    await pool.close()


async def test_a_process_that_has_ended_is_replaced_before_the_next_job(sandbox: Sandbox) -> None:
    (pid,) = children()
    job = asyncio.create_task(rendered(sandbox, BURN))
    await until_busy(pid)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unprocessable):
        await job
    await until(lambda: len(children()) == 1)
    assert children() != [pid]


async def test_a_process_that_died_while_it_had_nothing_to_do_costs_nobody_a_job(sandbox: Sandbox) -> None:
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())
    for _ in range(100):  # the event loop gets to know of it
        await asyncio.sleep(0)
    assert await rendered(sandbox, "x") == "x"


async def test_a_process_that_does_not_answer_is_ended(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(sandbox_module, "WALL_SECONDS", 0.1)
        with pytest.raises(Unprocessable) as error:
            await rendered(sandbox, "x")
    assert error.value.detail == WALL
    assert pid not in children()
    assert await rendered(sandbox, "{{ data.x }}", x=1) == "1"


async def test_a_job_that_nobody_waits_for_any_more_is_ended(sandbox: Sandbox) -> None:
    (pid,) = children()
    job = asyncio.create_task(rendered(sandbox, BURN))
    await until_busy(pid)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert pid not in children()
    assert await rendered(sandbox, "x") == "x"


async def test_many_jobs_share_few_processes() -> None:
    pool = Sandbox(2)
    texts = await asyncio.gather(*(rendered(pool, "{{ data.x }}", x=number) for number in range(50)))
    assert texts == [str(number) for number in range(50)]
    assert len(children()) == 2
    await pool.close()
    assert children() == []
