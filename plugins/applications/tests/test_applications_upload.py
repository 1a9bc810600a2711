"""Files of applications: uploaded as a whole, one by one, through PUT; shown, deleted, and never changed by halves."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import FormData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Call
    from jobbergate_devkit.testing import Client, MakeApp, Served

APPS = "/jobbergate/applications"
SOURCE = "class JobbergateApplication:\n    pass\n"
CONFIG = "application_config:\n  job_name: rats\njobbergate_config:\n  default_template: main.sh.j2\n"
TEMPLATE = "#!/bin/bash\necho {{ data.job_name }}\n"
WHOLE = {"jobbergate.py": SOURCE, "jobbergate.yaml": CONFIG, "main.sh.j2": TEMPLATE}
INVALID = "The uploaded files are invalid -- "
EXTENSIONS = f"{INVALID}Checked expressions failed: Invalid file extensions"

Files = dict[str, str | bytes]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def served(shared_server: Served) -> Served:
    return shared_server


@pytest.fixture(scope="module")
def api(shared_client: Client) -> Client:
    return shared_client


def form(files: Files | list[tuple[str, str | bytes]], content_type: str = "text/plain") -> FormData:
    """Files as the field of a whole application."""
    listed = files.items() if isinstance(files, dict) else files
    return fields([("upload_files", *file) for file in listed], content_type)


def fields(files: Sequence[tuple[str, str, str | bytes]], content_type: str = "text/plain") -> FormData:
    data = FormData(quote_fields=False)
    data.add_field("unknown", "is ignored")
    for name, filename, content in files:
        text = BytesIO(content.encode() if isinstance(content, str) else content)
        data.add_field(name, text, filename=filename, content_type=content_type)
    return data


@pytest_asyncio.fixture(loop_scope="module")
async def app(call: Call) -> str:
    """The path of an application without files."""
    _, application = await call("POST", APPS, json={"application_name": "app"})
    return f"{APPS}/{application['id']}"


@pytest_asyncio.fixture(loop_scope="module")
async def uploaded(call: Call, app: str) -> str:
    """The path of an application with files."""
    assert await call("POST", f"{app}/upload", data=form({**WHOLE})) == (201, None)
    return app


async def shown(call: Call, app: str) -> dict[str, Any]:
    status, body = await call("GET", app)
    assert status == 200
    return dict(body)


def texts(body: dict[str, Any]) -> tuple[Any, Any, Any]:
    return body["application_config"], body["application_source_file"], body["application_templates"]


async def test_an_upload_is_answered_with_null_and_shown(call: Call, api: Client, app: str) -> None:
    before = await shown(call, app)
    assert texts(before) == (None, None, None)
    templates = {f"{name}.j2": name for name in ("b", "A", "a", "ä", "Z")}
    async with api.post(f"{app}/upload", data=form({**WHOLE, **templates, "x.jinja2": "x"})) as response:
        assert response.status == 201
        assert await response.text() == "null"
    after = await shown(call, app)
    names = ["A.j2", "Z.j2", "a.j2", "b.j2", "main.sh.j2", "x.jinja2", "ä.j2"]
    assert texts(after)[:2] == (CONFIG, SOURCE)
    assert list(after["application_templates"]) == names
    assert after["application_templates"]["main.sh.j2"] == TEMPLATE
    assert list(after)[-3:] == ["application_config", "application_source_file", "application_templates"]
    assert after["application_uploaded"] is True
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


async def test_every_byte_of_a_file_is_kept(call: Call, app: str) -> None:
    files: Files = {
        "jobbergate.py": "\ufeff# Übung\r\n",
        "jobbergate.yaml": CONFIG.replace("\n", "\r\n"),
        "main.j2": "\r\n\n  x \0 \u2028日本\r",
    }
    assert (await call("POST", f"{app}/upload", data=form(files)))[0] == 201
    source, config, template = files.values()
    assert texts(await shown(call, app)) == (config, source, {"main.j2": template})


async def test_an_upload_takes_the_place_of_all_earlier_files(call: Call, uploaded: str) -> None:
    assert (await call("POST", f"{uploaded}/upload", data=form({"jobbergate.py": "", "b.jinja2": "b"})))[0] == 201
    assert texts(await shown(call, uploaded)) == (None, "", {"b.jinja2": "b"})


async def test_templates_are_known_by_their_base_names_and_the_last_of_a_name_counts(call: Call, app: str) -> None:
    files = [*WHOLE.items(), ("a/x.j2", "1"), ("b/c/x.j2", "2"), ("templates/y.j2", "3"), ("/z.j2", "4")]
    assert (await call("POST", f"{app}/upload", data=form([*files])))[0] == 201
    templates = (await shown(call, app))["application_templates"]
    assert templates == {"main.sh.j2": TEMPLATE, "x.j2": "2", "y.j2": "3", "z.j2": "4"}


async def test_other_files_are_ignored(call: Call, app: str) -> None:
    others: Files = {
        "README.md": b"\xff",
        "other.py": "pass",
        "sub/jobbergate.py": "pass",
        "other.yaml": "a: b",
        "x.J2": "{{",
        ".j2": "{{",
        "x.yml": "[",
        "": "",
    }
    assert (await call("POST", f"{app}/upload", data=form({**WHOLE, **others})))[0] == 201
    assert texts(await shown(call, app)) == (CONFIG, SOURCE, {"main.sh.j2": TEMPLATE})


@pytest.mark.parametrize(
    ("files", "lines"),
    {
        "no source": ({"main.j2": ""}, (1,)),
        "a source elsewhere": ({"a/jobbergate.py": "", "main.j2": ""}, (1,)),
        "another case": ({"Jobbergate.py": "", "main.j2": ""}, (1,)),
        "no template": ({"jobbergate.py": ""}, (2,)),
        "a template of another case": ({"jobbergate.py": "", "main.J2": ""}, (2,)),
        "nothing but the suffix": ({"jobbergate.py": "", ".j2": "", ".jinja2": ""}, (2,)),
        "neither": ({"jobbergate.yaml": CONFIG}, (1, 2)),
    }.values(),
)
async def test_a_source_and_a_template_must_be_there(
    call: Call, uploaded: str, files: Files, lines: tuple[int, ...]
) -> None:
    words = {
        1: "The application source file is missing (jobbergate.py)",
        2: "missing one or more template files (.j2 and/or .jinja2)",
    }
    expected = EXTENSIONS + "".join(f"\n  {number}: {words[number]}" for number in lines)
    assert await refused(call, uploaded, files) == expected


async def refused(call: Call, uploaded: str, files: Files, content_type: str = "text/plain", status: int = 422) -> str:
    """The text with which an upload is refused, which leaves everything as it was."""
    before = await shown(call, uploaded)
    found, reply = await call("POST", f"{uploaded}/upload", data=form(files, content_type))
    assert found == status, reply
    assert await shown(call, uploaded) == before
    return str(reply["detail"])


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "text/x-python", "application/octet-stream"])
async def test_files_must_be_plain_text_by_their_type(call: Call, uploaded: str, content_type: str) -> None:
    expected = f"{INVALID}The content of the files .py, .yaml, .j2, .jinja2 is expected to be text/plain"
    assert await refused(call, uploaded, {**WHOLE}, content_type) == expected


async def test_the_type_of_other_files_does_not_matter(call: Call, app: str) -> None:
    data = form({**WHOLE})
    data.add_field("upload_files", b"\x89PNG", filename="x.png", content_type="image/png")
    assert (await call("POST", f"{app}/upload", data=data))[0] == 201


async def test_an_upload_whose_files_do_not_parse_changes_nothing(call: Call, uploaded: str) -> None:
    wrong: Files = {"other.py": "def (", "jobbergate.yaml": f"{CONFIG}a: &a [b]\nc: *a\n", "a.j2": "{{", "b.j2": "b"}
    detail = await refused(call, uploaded, {**WHOLE, **wrong})
    head, *lines = detail.split("\n  ")
    assert head == f"{INVALID}Checked expressions failed: Invalid syntax on uploaded file(s)"
    assert sorted(line.split(": ")[1] for line in lines) == ["a.j2", "jobbergate.yaml", "other.py"]


@pytest.mark.parametrize("name", ["jobbergate.py", "jobbergate.yaml", "a.j2"])
async def test_a_file_that_is_not_utf_8_is_refused(call: Call, uploaded: str, name: str) -> None:
    content = b"# -*- coding: latin-1 -*-\n# \xff\n"
    assert await refused(call, uploaded, {**WHOLE, name: content}) == (
        f"{INVALID}{name} is not UTF-8: invalid start byte at byte 28"
    )


async def test_a_configuration_without_its_sections_changes_nothing(call: Call, uploaded: str) -> None:
    text, words = "application_config: {}", "jobbergate_config: field required"
    detail = await refused(call, uploaded, {**WHOLE, "jobbergate.yaml": text})
    assert detail.startswith(f"{INVALID}Not possible to get the configuration from jobbergate.yaml -- ")
    assert words in detail
    status, reply = await call("PUT", uploaded, json={"application_config": text})
    assert (status, words in reply["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("name", "most"), {"jobbergate.py": 256 * 1024, "jobbergate.yaml": 64 * 1024, "a.j2": 1024 * 1024}.items()
)
async def test_a_file_has_the_size_that_its_kind_may_have(call: Call, uploaded: str, name: str, most: int) -> None:
    start = {"jobbergate.yaml": CONFIG}.get(name, "")
    largest = start + "#" * (most - len(start))
    detail = await refused(call, uploaded, {**WHOLE, name: largest + "#"}, status=413)
    assert detail == f"The file {name} cannot exceed {most} bytes."
    assert (await call("POST", f"{uploaded}/upload", data=form({**WHOLE, name: largest})))[0] == 201


async def test_an_upload_has_at_most_100_files(call: Call, uploaded: str) -> None:
    many: Files = {f"{number}.j2": "" for number in range(99)}
    assert await refused(call, uploaded, {**WHOLE, **many}) == "A form may hold at most 100 files."


async def test_an_upload_must_say_how_long_it_is(call: Call, app: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    async def body() -> Any:  # noqa: ANN401 - an asynchronous iterator
        yield b'--b\r\nContent-Disposition: form-data; name="upload_files"; filename="a.j2"\r\n\r\nx\r\n--b--\r\n'

    status, reply = await call("POST", f"{app}/upload", data=body(), headers=headers)
    expected = {"loc": ["header", "content-length"], "msg": "field required", "type": "value_error.missing"}
    assert (status, reply) == (422, {"detail": [expected]})


@pytest.mark.asyncio(loop_scope="function")
async def test_the_size_is_judged_before_existence_and_owner(make_app: MakeApp, call: Call) -> None:
    small = await make_app(settings={"limits": {"max_upload_size": 1000}})
    detail = {"detail": "Uploaded files cannot exceed 1000 bytes."}
    _, application = await call("POST", APPS, small.client_as(), json={"application_name": "app"})
    stranger = small.client_as(email="other@example.com")
    large: Files = {**WHOLE, "a.j2": "x" * 1000}
    for method, path in {"POST": "upload", "PATCH": "upload/individually"}.items():
        for target in (f"{APPS}/{application['id']}", f"{APPS}/999"):
            assert await call(method, f"{target}/{path}", stranger, data=form(large)) == (413, detail)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "upload"), ("PATCH", "upload/individually"), ("DELETE", "upload")]
)
async def test_existence_is_judged_before_ownership_and_both_before_the_files(
    call: Call, served: Served, uploaded: str, method: str, path: str
) -> None:
    stranger = served.client_as(email="other@example.com")
    data = {"data": form({"main.j2": "{{"})} if method != "DELETE" else {}
    before = await shown(call, uploaded)
    for missing in (999, 0, -1, 2**31, 10**30):
        expected = {"detail": f"Could not find applications instance with id {missing}"}
        assert await call(method, f"{APPS}/{missing}/{path}", stranger, **data) == (404, expected)
        data = {"data": form({"main.j2": "{{"})} if method != "DELETE" else {}
    number = uploaded.rpartition("/")[2]
    expected = {
        "detail": f"User other@example.com does not own application with id={number}. "
        "Only the application owner (owner@example.com) can modify this application."
    }
    assert await call(method, f"{uploaded}/{path}", stranger, **data) == (403, expected)
    assert await shown(call, uploaded) == before
    status, reply = await call(method, f"{APPS}/x/{path}", data=form({}) if data else None)
    assert (status, reply["detail"][0]["loc"]) == (422, ["path", "application_id"])


async def test_files_are_replaced_one_by_one(call: Call, uploaded: str) -> None:
    before = await shown(call, uploaded)
    path = f"{uploaded}/upload/individually"
    sent = [("template_files", "a/new.txt", "{{ 1 }}"), ("template_files", "main.sh.j2", "2")]
    assert await call("PATCH", path, data=fields(sent, "image/png")) == (204, None)
    after = await shown(call, uploaded)
    assert texts(after) == (CONFIG, SOURCE, {"main.sh.j2": "2", "new.txt": "{{ 1 }}"})
    assert after["updated_at"] > before["updated_at"]
    other = CONFIG.replace("rats", "mice")
    sent = [("config_file", "x", other), ("source_file", "y", "")]
    assert await call("PATCH", path, data=fields(sent)) == (204, None)
    assert texts(await shown(call, uploaded)) == (other, "", {"main.sh.j2": "2", "new.txt": "{{ 1 }}"})


async def test_files_one_by_one_make_an_application_uploaded(call: Call, app: str) -> None:
    path = f"{app}/upload/individually"
    assert await call("PATCH", path, data=fields([])) == (204, None)
    assert (await shown(call, app))["application_uploaded"] is False
    assert await call("PATCH", path, data=fields([("template_files", "jobbergate.yaml", "x")])) == (204, None)
    after = await shown(call, app)
    assert after["application_uploaded"] is True
    assert texts(after) == (None, None, {"jobbergate.yaml": "x"})


@pytest.mark.parametrize(
    ("field", "name", "content", "status"),
    {
        "source": ("source_file", "x", "def (", 422),
        "config": ("config_file", "x", "a: b", 422),
        "config that is none": ("config_file", "x", "", 422),
        "template": ("template_files", "x", "{{", 422),
        "not UTF-8": ("template_files", "x", b"\xff", 422),
        "no name": ("template_files", "", "x", 422),
        "a name that leads out": ("template_files", "a/..", "x", 422),
        "a control character": ("template_files", "a\x85b", "x", 422),
        "a long name": ("template_files", "x" * 256, "x", 422),
        "a large source": ("source_file", "x", "#" * (256 * 1024 + 1), 413),
        "a large config": ("config_file", "x", "#" * (64 * 1024 + 1), 413),
        "a large template": ("template_files", "x", "#" * (1024 * 1024 + 1), 413),
    }.values(),
)
async def test_one_bad_file_among_good_ones_changes_nothing(  # noqa: PLR0917
    call: Call, uploaded: str, field: str, name: str, content: str | bytes, status: int
) -> None:
    before = await shown(call, uploaded)
    sent = [("template_files", "good.j2", "x"), (field, name, content)]
    found, reply = await call("PATCH", f"{uploaded}/upload/individually", data=fields([*sent]))
    assert (found, type(reply["detail"])) == (status, str)
    assert await shown(call, uploaded) == before


async def test_deleting_the_files_leaves_the_application(call: Call, uploaded: str) -> None:
    before = await shown(call, uploaded)
    assert await call("DELETE", f"{uploaded}/upload") == (204, None)
    after = await shown(call, uploaded)
    assert texts(after) == (None, None, None)
    assert after["application_uploaded"] is False
    assert after["updated_at"] > before["updated_at"]
    assert await call("DELETE", f"{uploaded}/upload") == (204, None)
    assert await shown(call, uploaded) == after
    assert (await call("PATCH", f"{uploaded}/upload/individually", data=fields([("source_file", "x", "")])))[0] == 204
    assert texts(await shown(call, uploaded)) == (None, "", {})


async def test_a_configuration_in_put_is_stored_as_the_file(call: Call, uploaded: str, app: str) -> None:
    other = CONFIG.replace("rats", "mice")
    status, body = await call("PUT", uploaded, json={"application_config": other, "application_name": "new"})
    assert (status, body["application_name"], "application_config" in body) == (200, "new", False)
    assert texts(await shown(call, app)) == (other, SOURCE, {"main.sh.j2": TEMPLATE})


async def test_a_change_that_cannot_be_made_as_a_whole_is_not_made(call: Call, uploaded: str) -> None:
    await call("POST", APPS, json={"application_name": "other", "application_identifier": "taken"})
    before = await shown(call, uploaded)
    good = CONFIG.replace("rats", "mice")
    for change, status in (
        ({"application_config": good, "application_identifier": "taken"}, 409),
        ({"application_config": "a: b", "application_name": "new"}, 422),
        ({"application_config": "#" * (64 * 1024 + 1), "application_name": "new"}, 413),
        ({"application_config": None, "application_name": "new"}, 422),
        ({"application_config": "a\ud800", "application_name": "new"}, 422),
    ):
        assert (await call("PUT", uploaded, json=change))[0] == status
        assert await shown(call, uploaded) == before


async def test_files_survive_every_other_change(call: Call, uploaded: str) -> None:
    files = texts(await shown(call, uploaded))
    for change in ({}, {"is_archived": True}, {"application_identifier": "x"}, {"application_description": None}):
        status, body = await call("PUT", uploaded, json=change)
        assert (status, body["application_uploaded"]) == (200, True)
    assert texts(await shown(call, uploaded)) == files
    assert texts(await shown(call, f"{APPS}/x")) == files
    _, listed = await call("GET", APPS, params={"all": "true", "include_archived": "true"})
    assert "application_config" not in listed["results"][0]


@pytest.mark.asyncio(loop_scope="function")
async def test_files_outlive_the_server(call: Call, make_app: MakeApp) -> None:
    first = await make_app()
    _, application = await call("POST", APPS, first.client_as(), json={"application_name": "app"})
    path = f"{APPS}/{application['id']}"
    assert (await call("POST", f"{path}/upload", first.client_as(), data=form({**WHOLE})))[0] == 201
    other = (await make_app()).client_as("jobbergate:applications:view")
    status, body = await call("GET", path, other)
    assert (status, texts(body)) == (200, (CONFIG, SOURCE, {"main.sh.j2": TEMPLATE}))


async def test_files_of_one_application_are_not_those_of_another(call: Call, uploaded: str) -> None:
    _, other = await call("POST", APPS, json={"application_name": "other"})
    path = f"{APPS}/{other['id']}"
    assert (await call("POST", f"{path}/upload", data=form({**WHOLE})))[0] == 201
    assert await call("DELETE", uploaded) == (204, None)
    assert texts(await shown(call, path)) == (CONFIG, SOURCE, {"main.sh.j2": TEMPLATE})
