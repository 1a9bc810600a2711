"""Job scripts made from applications: configuration, values, paths, added `#SBATCH` lines, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import pytest_asyncio
from aiohttp import FormData

from jobbergate_applications.sandbox import Sandbox
from jobbergate_applications.storage import Contents
from jobbergate_job_scripts.rendering import render_script
from jobbergate_server import Unprocessable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from conftest import Call
    from jobbergate_devkit.testing import Served

APPS = "/jobbergate/applications"
SCRIPTS = "/jobbergate/job-scripts"
MAIN = "#!/bin/bash\n#SBATCH -n 2\necho {{ data.job_name }}\n"
CONFIG = {"application_config": {"job_name": "rats"}, "jobbergate_config": {"default_template": "main.sh.j2"}}


in_the_pool = pytest.mark.asyncio(loop_scope="module")
"""For tests of how files are made, which need no server but `pool`."""


class Render(Protocol):
    """Makes a job script from an application with a configuration and templates; the status and the answer."""

    async def __call__(
        self, jobbergate: dict[str, Any], templates: dict[str, str], values: object = None, **body: object
    ) -> tuple[int, Any]:
        """``jobbergate`` is the section `jobbergate_config`, ``values`` is `application_config`."""


async def add_application(call: Call, config: str | None, templates: dict[str, str], source: str | None = "") -> int:
    """The id of an application with these files."""
    application_id = int((await call("POST", APPS, json={"application_name": "app"}))[1]["id"])
    form = FormData(quote_fields=False)
    for field, text in (("source_file", source), ("config_file", config)):
        if text is not None:
            form.add_field(field, text.encode(), filename="x")
    for name, text in templates.items():
        form.add_field("template_files", text.encode(), filename=name)
    assert (await call("PATCH", f"{APPS}/{application_id}/upload/individually", data=form))[0] == 204
    return application_id


@pytest.fixture
async def app(call: Call) -> int:
    return await add_application(call, json.dumps(CONFIG), {"main.sh.j2": MAIN})


@pytest.fixture
def render(call: Call) -> Render:
    async def render(
        jobbergate: dict[str, Any], templates: dict[str, str], values: object = None, **body: object
    ) -> tuple[int, Any]:
        config = {"application_config": values or {}, "jobbergate_config": jobbergate}
        application_id = await add_application(call, json.dumps(config), templates)
        return await call("POST", SCRIPTS, json={"job_script_name": "js", "application_id": application_id, **body})

    return render


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[Sandbox]:
    """A pool of one process, for all tests that need no more of a server."""
    pool = Sandbox(1)
    yield pool
    await pool.close()


async def made(
    pool: Sandbox,
    jobbergate: dict[str, Any],
    templates: dict[str, str],
    params: Sequence[str] = (),
    **sections: object,
) -> list[tuple[str, str]]:
    """The files that are made of the templates, the main one first; ``sections`` are those that a user sends."""
    config = json.dumps({"application_config": {}, "jobbergate_config": jobbergate})
    return files(
        {"job_script_files": (await render_script(pool, Contents(config, "", templates), sections, params)).wire}
    )


async def refused(pool: Sandbox, jobbergate: dict[str, Any], templates: dict[str, str], **sections: object) -> str:
    """Why no files are made, which a client is answered with status 422."""
    with pytest.raises(Unprocessable) as error:
        await made(pool, jobbergate, templates, (), **sections)
    assert error.value.status == 422
    return str(error.value.detail)


def files(reply: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - JSON
    """The files of an answer in their order, the main one first."""
    listed = list(reply["job_script_files"]["files"].items())
    assert listed[0][0] == reply["job_script_files"]["main_file_path"]
    return listed


async def main_of(answer: tuple[int, Any]) -> str:
    status, reply = answer
    assert status == 201, reply
    return files(reply)[0][1]


async def test_a_job_script_is_rendered_and_stays_as_it_is(call: Call, app: int) -> None:
    sent = {"job_script_name": "js", "job_script_description": None, "application_id": app}
    status, made = await call("POST", SCRIPTS, json=sent)
    assert status == 201
    assert files(made) == [("main.sh", "#!/bin/bash\n#SBATCH -n 2\necho rats")]
    assert (made["application_id"], made["application_name"], made["job_script_description"]) == (app, "app", None)
    assert made["created_at"] == made["updated_at"]
    path = f"{SCRIPTS}/{made['id']}"
    assert await call("GET", path) == (200, made)
    assert (await call("DELETE", f"{APPS}/{app}"))[0] == 204
    _, orphan = await call("GET", path)
    assert files(orphan) == files(made)
    assert (orphan["application_id"], orphan["application_name"]) == (None, None)


async def test_anybodys_application_can_be_used_also_an_archived_one(call: Call, served: Served, app: int) -> None:
    assert (await call("PUT", f"{APPS}/{app}", json={"is_archived": True}))[0] == 200
    stranger = served.client_as("jobbergate:job-scripts:edit", email="other@example.com")
    status, made = await call("POST", SCRIPTS, stranger, json={"job_script_name": "js", "application_id": app})
    assert (status, made["job_script_owner_email"]) == (201, "other@example.com")


async def test_sent_sections_replace_those_of_the_application_as_a_whole(call: Call) -> None:
    template = "{{ data.a }}|{{ data.b }}|{{ data.extra }}|{{ data.output_directory }}|{{ data.c }}"
    config = {
        "application_config": {"a": 1, "b": {"x": 2}},
        "jobbergate_config": {"default_template": "a.j2", "extra": "e", "output_directory": "out"},
    }
    application_id = await add_application(call, json.dumps(config), {"a.j2": template, "b.j2": template})
    for sent, text in {
        "{}": "1|{&#39;x&#39;: 2}|e|out|",
        '{"application_config": {"c": 3}}': "||e|out|3",
        '{"jobbergate_config": {"default_template": "b.j2"}}': "1|{&#39;x&#39;: 2}||.|",
        '{"a": 5, "other": {"c": 6}}': "1|{&#39;x&#39;: 2}|e|out|",
        '{"application_config": {}, "jobbergate_config": {"default_template": "b.j2", "a": 7}}': "7|||.|",
    }.items():
        body = {"job_script_name": "js", "application_id": application_id, "param_dict": json.loads(sent)}
        assert await main_of(await call("POST", SCRIPTS, json=body)) == text.replace("&#39;", "'")


async def test_one_object_holds_all_values_and_unset_keys_of_jobbergate_hide_others(render: Render) -> None:
    hidden = ["job_script_name", "template_files", "supporting_files", "supporting_files_output_name"]
    values = {**dict.fromkeys(hidden, "hidden"), "default_template": "hidden", "same": 1, "deep": {"a": {"b": 2}}}
    template = "{% for key, value in data|dictsort %}{{ key }}={{ value }};{% endfor %}{{ data.deep.a.b }}"
    text = await main_of(await render({"default_template": "m.j2", "same": 2}, {"m.j2": template}, values))
    assert text == (
        "deep={'a': {'b': 2}};default_template=m.j2;job_script_name=None;output_directory=.;same=2;"
        "supporting_files=None;supporting_files_output_name=None;template_files=None;2"
    )


async def test_known_keys_reach_templates_in_their_final_form(render: Render) -> None:
    jobbergate = {
        "default_template": "templates/m.j2",
        "template_files": ["templates/m.j2", "x/templates/y", 5],
        "supporting_files_output_name": {"templates/s.j2": "s.txt"},
        "output_directory": None,
        "job_script_name": True,
    }
    template = (
        "{{ data.default_template }} {{ data.template_files }} {{ data.supporting_files }} "
        "{{ data.supporting_files_output_name }} {{ data.output_directory }} {{ data.job_script_name }}"
    )
    _, reply = await render(jobbergate, {"m.j2": template, "s.j2": "{{ data.default_template }}"})
    assert files(reply) == [
        ("m", "m.j2 ['m.j2', 'x/templates/y', '5'] ['s.j2'] {'s.j2': ['s.txt']} None True"),
        ("s.txt", "m.j2"),
    ]


@pytest.mark.parametrize(
    ("template", "text"),
    {
        "x\n": "x",
        "x\n\n": "x\n",
        "x": "x",
        "\n": "",
        "a\r\nb\r\n": "a\nb",
        "a\rb": "a\nb",
        "[{{ data.nothing }}]": "[]",
        "{{ '<&>' }}": "<&>",
        "{{ [1, 'a', None, 1.5, true] }}": "[1, 'a', None, 1.5, True]",
        "{# comment #}{% raw %}{{ x }}{% endraw %}": "{{ x }}",
        "{% for n in range(3) %}{{ loop.index }}{% endfor %}": "123",
        "{{ data.keys()|list|length > 3 }}": "True",
        "{% set data = 1 %}{{ data }}": "1",
        "\ufeffÜbung 日本 \u2028": "\ufeffÜbung 日本 \u2028",
    }.items(),
)
@in_the_pool
async def test_templates_are_jinja2_with_its_defaults(pool: Sandbox, template: str, text: str) -> None:
    assert await made(pool, {"default_template": "m.j2"}, {"m.j2": template}) == [("m", text)]


@pytest.mark.parametrize(
    ("template", "words"),
    {
        "{{ data.nothing.more }}": "UndefinedError: 'dict object' has no attribute 'nothing'",
        "{{ nothing() }}": "UndefinedError: 'nothing' is undefined",
        "{{ 1 / 0 }}": "ZeroDivisionError: division by zero",
        "{% include 'other.j2' %}": "",
        "{% extends 'other.j2' %}": "",
        "{{ 1|nofilter }}": "TemplateAssertionError: No filter named 'nofilter'.",
        "{{ ''.__class__.__mro__ }}": "SecurityError",
    }.items(),
)
@in_the_pool
async def test_a_template_that_fails_is_told_why(pool: Sandbox, template: str, words: str) -> None:
    templates = {"m.j2": template, "other.j2": ""}
    detail = await refused(pool, {"default_template": "m.j2"}, templates)
    assert detail.startswith(f"Error rendering the main file -- {words}")
    supporting = {"default_template": "other.j2", "supporting_files_output_name": {"m.j2": "x"}}
    detail = await refused(pool, supporting, templates)
    assert detail.startswith(f"Error rendering the supporting file m.j2 -- {words}")


async def test_of_a_template_that_fails_nothing_is_kept(render: Render, call: Call) -> None:
    expected = {"detail": "Error rendering the main file -- ZeroDivisionError: division by zero"}
    assert await render({"default_template": "m.j2"}, {"m.j2": "{{ 1 / 0 }}"}) == (422, expected)
    assert (await call("GET", SCRIPTS))[1]["pagination"]["total"] == 0


@pytest.mark.parametrize(
    ("config", "source", "templates", "lines"),
    [
        (None, "", {"m.j2": ""}, "\n  1: Application config file was not found"),
        (json.dumps(CONFIG), None, {"m.j2": ""}, "\n  2: Application source file was not found"),
        (json.dumps(CONFIG), "", {}, "\n  3: Application template file was not found"),
        (
            None,
            "",
            {},
            "\n  1: Application config file was not found\n  3: Application template file was not found",
        ),
    ],
)
async def test_all_kinds_of_files_are_needed(
    call: Call, config: str | None, source: str | None, templates: dict[str, str], lines: str
) -> None:
    application_id = await add_application(call, config, templates, source)
    expected = f"Checked expressions failed: One or more application files are missing{lines}"
    sent = {"job_script_name": "js", "application_id": application_id}
    assert await call("POST", SCRIPTS, json=sent) == (422, {"detail": expected})


async def test_a_template_must_be_chosen_and_be_there(render: Render) -> None:
    status, reply = await render({}, {"b.j2": "", "a.j2": ""})
    assert (status, reply["detail"].startswith("Value was not defined (None)")) == (422, True)
    expected = {"detail": "Selected template c.j2 not found in available templates: a.j2, b.j2"}
    assert await render({"default_template": "c.j2"}, {"b.j2": "", "a.j2": ""}) == (422, expected)
    names = {"zz.j2": "z", "templates/yy.j2": ["y"], "a.j2": "a"}
    status, reply = await render({"default_template": "a.j2", "supporting_files_output_name": names}, {"a.j2": ""})
    assert status == 422
    assert reply["detail"] == (
        "Checked expressions failed: One or more supporting files are missing\n"
        "  1: supporting_file='zz.j2' was not found\n  2: supporting_file='yy.j2' was not found"
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"application_config": None},
        {"application_config": [1]},
        {"jobbergate_config": "text"},
        {"jobbergate_config": {"default_template": {}}},
        {"jobbergate_config": {"supporting_files": "text"}},
        {"jobbergate_config": {"supporting_files_output_name": {"a.j2": [None]}}},
    ],
)
@in_the_pool
async def test_sent_sections_must_have_their_form(pool: Sandbox, sections: dict[str, object]) -> None:
    detail = await refused(pool, {"default_template": "m.j2"}, {"m.j2": ""}, **sections)
    assert detail.startswith("Error while parsing the config-file and/or job-script params -- ")


@pytest.mark.parametrize(
    ("template", "directory", "path"),
    [
        ("main.sh.j2", ".", "main.sh"),
        ("main.sh.j2", None, "main.sh"),
        ("main.sh.j2", "", "main.sh"),
        ("main.sh.jinja2", "a/./b//c/", "a/b/c/main.sh"),
        ("hj.j2", "out", "out/hj"),
        ("j2.j2", "out", "out/j2"),
        ("a.j2.j2", ".", "a.j2"),
        ("a.jinja2.j2", ".", "a.jinja2"),
        ("plain.sh", ".", "plain.sh"),
        ("a.j2x", ".", "a.j2x"),
    ],
)
@in_the_pool
async def test_the_main_path_is_the_template_without_its_suffix(
    pool: Sandbox, template: str, directory: str | None, path: str
) -> None:
    jobbergate = {"default_template": template, "output_directory": directory}
    assert await made(pool, jobbergate, {template: "x"}) == [(path, "x")]


@pytest.mark.parametrize(
    "jobbergate",
    [
        {"output_directory": "/etc"},
        {"output_directory": "a/../.."},
        {"output_directory": "a\nb"},
        {"output_directory": "x" * 256},
        {"output_directory": "x/" * 600},
        {"default_template": ".j2"},
        {"default_template": ".jinja2"},
        {"default_template": "...j2"},
        {"supporting_files_output_name": {"m.j2": "/abs"}},
        {"supporting_files_output_name": {"m.j2": "../up"}},
        {"supporting_files_output_name": {"m.j2": ""}},
        {"supporting_files_output_name": {"m.j2": "."}},
        {"supporting_files_output_name": {"m.j2": ["good", "a\x7fb"]}},
        {"output_directory": "a", "supporting_files_output_name": {"m.j2": "../b"}},
    ],
)
@in_the_pool
async def test_no_path_leads_out_of_the_directory_of_the_job(pool: Sandbox, jobbergate: dict[str, Any]) -> None:
    templates = dict.fromkeys(["m.j2", ".j2", ".jinja2", "...j2"], "")
    jobbergate = {"default_template": "m.j2", **jobbergate}
    detail = await refused(pool, jobbergate, templates)
    assert detail.startswith("Invalid path of a file: ")
    assert await refused(pool, {"default_template": "m.j2"}, templates, jobbergate_config=jobbergate) == detail


async def test_of_a_path_that_leads_out_of_the_directory_nothing_is_kept(render: Render, call: Call) -> None:
    body = {"param_dict": {"jobbergate_config": {"default_template": "m.j2", "output_directory": "/etc"}}}
    status, reply = await render({"default_template": "m.j2"}, {"m.j2": ""}, **body)
    assert (status, reply["detail"].partition(": ")[0]) == (422, "Invalid path of a file")
    assert (await call("GET", SCRIPTS))[1]["pagination"]["total"] == 0


async def test_supporting_files_follow_the_main_one_as_they_are_named_and_sorted_by_path_later(
    call: Call, render: Render
) -> None:
    jobbergate = {
        "default_template": "m.j2",
        "output_directory": "out",
        "supporting_files_output_name": {"z.j2": ["z/2", "a", "z/1"], "b.j2": "B", "m.j2": "copy"},
    }
    templates = {"m.j2": "#SBATCH -n 1\n{{ data.x }}", "z.j2": "z{{ data.x }}\n\n", "b.j2": "#SBATCH b"}
    _, made = await render(jobbergate, templates, {"x": 1}, sbatch_params=["-c 2"])
    main = ("out/m", "#SBATCH -n 1\n#SBATCH -c 2\n1")
    z, b, copy = "z1\n", "#SBATCH b", "#SBATCH -n 1\n1"
    others = [("out/z/2", z), ("out/a", z), ("out/z/1", z), ("out/B", b), ("out/copy", copy)]
    assert files(made) == [main, *others]
    _, read = await call("GET", f"{SCRIPTS}/{made['id']}")
    assert files(read) == [main, *sorted(others)]


async def test_a_supporting_file_of_the_same_path_takes_the_place_of_the_main_one(render: Render) -> None:
    jobbergate = {"default_template": "m.j2", "supporting_files_output_name": {"s.j2": ["x", "./m", "y"]}}
    _, reply = await render(jobbergate, {"m.j2": "main", "s.j2": "supporting"}, sbatch_params=["-n 1"])
    assert dict(files(reply)) == {"m": "supporting", "x": "supporting", "y": "supporting"}


async def test_lines_are_added_to_the_main_file(render: Render) -> None:
    jobbergate, templates = {"default_template": "m.j2"}, {"m.j2": "#!/bin/bash\necho\n"}
    for params, lines in ((None, ""), ([], ""), (["-n 1"], "#SBATCH -n 1\n")):
        text = await main_of(await render(jobbergate, templates, sbatch_params=params))
        assert text == f"#!/bin/bash\n{lines}echo"


async def test_a_script_with_an_added_line_of_two_is_refused(call: Call, app: int) -> None:
    sent = {"job_script_name": "js", "application_id": app, "sbatch_params": ["-c 1", "-n 1\n-n 2"]}
    status, reply = await call("POST", SCRIPTS, json=sent)
    assert (status, reply["detail"].partition(": ")[0]) == (422, "sbatch_params")


async def test_an_added_line_holds_text_that_can_be_stored(call: Call, app: int) -> None:
    for param in ("a\0b", "\ud800"):
        sent = {"job_script_name": "js", "application_id": app, "sbatch_params": [param]}
        status, reply = await call("POST", SCRIPTS, json=sent)
        assert (status, reply["detail"][0]["loc"]) == (422, ["body", "sbatch_params", 0])
