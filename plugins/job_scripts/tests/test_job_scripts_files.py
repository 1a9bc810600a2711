"""Files of job scripts: uploaded, replaced through PUT, shown in their order, downloaded, never changed by halves."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import FormData

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client, MakeApp, Served

SCRIPTS = "/jobbergate/job-scripts"
INVALID = "The uploaded file is invalid -- "
THREE = {"main_file_path": "m.sh", "files": {"z": "last", "m.sh": "main", "a/b": "first"}}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def served(shared_server: Served) -> Served:
    return shared_server


@pytest.fixture(scope="module")
def api(shared_client: Client) -> Client:
    return shared_client


def form(name: str, content: str | bytes, content_type: str = "text/plain") -> FormData:
    """A file as the field of a job script."""
    data = FormData(quote_fields=False)
    text = BytesIO(content.encode() if isinstance(content, str) else content)
    data.add_field("job_script_file", text, filename=name, content_type=content_type)
    return data


@pytest_asyncio.fixture(loop_scope="module")
async def script(call: Call) -> str:
    """The path of a job script without files."""
    _, made = await call("POST", SCRIPTS, json={"job_script_name": "js"})
    return f"{SCRIPTS}/{made['id']}"


@pytest_asyncio.fixture(loop_scope="module")
async def filled(call: Call, script: str) -> str:
    """The path of a job script with three files."""
    assert (await call("PUT", script, json={"job_script_files": THREE}))[0] == 200
    return script


def number(script: str) -> str:
    return script.rpartition("/")[2]


async def shown(call: Call, script: str) -> dict[str, Any]:
    status, body = await call("GET", script)
    assert status == 200
    return dict(body)


async def put(call: Call, script: str, files: object) -> tuple[int, Any]:
    return await call("PUT", script, json={"job_script_name": "new", "job_script_files": files})


async def test_an_uploaded_file_takes_the_place_of_all_others(call: Call, filled: str) -> None:
    before = await shown(call, filled)
    sent = form("a/./new name.sh", "Übung\r\n\0", "image/png")
    message = f"Successfully uploaded a/./new name.sh for job_script_id={number(filled)}"
    assert await call("POST", f"{filled}/upload", data=sent) == (200, {"message": message})
    after = await shown(call, filled)
    assert after["job_script_files"] == {"main_file_path": "a/new name.sh", "files": {"a/new name.sh": "Übung\r\n\0"}}
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


async def test_an_upload_makes_a_job_script_readable(call: Call, script: str) -> None:
    expected = {"detail": f"JobScript file not found for id={number(script)}."}
    assert await call("GET", script) == (404, expected)
    assert (await call("POST", f"{script}/upload", data=form("main.sh", "")))[0] == 200
    assert (await shown(call, script))["job_script_files"]["files"] == {"main.sh": ""}


@pytest.mark.parametrize("name", ["", ".", "/", "/etc/passwd", "..", "../x", "a/../b", "a\x85b", "x" * 256, "x/" * 600])
async def test_an_uploaded_file_has_a_path_inside_of_the_job(call: Call, filled: str, name: str) -> None:
    before = await shown(call, filled)
    status, reply = await call("POST", f"{filled}/upload", data=form(name, "x"))
    assert (status, reply["detail"].startswith(INVALID)) == (422, True)
    assert await shown(call, filled) == before


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_uploaded_file_is_utf_8(call: Call, filled: str, method: str) -> None:
    before = await shown(call, filled)
    expected = {"detail": f"{INVALID}main.sh is not UTF-8: invalid start byte at byte 1"}
    assert await call(method, f"{filled}/upload", data=form("main.sh", b"a\xff")) == (422, expected)
    assert await shown(call, filled) == before


async def test_the_main_file_alone_is_replaced(call: Call, filled: str) -> None:
    before = await shown(call, filled)
    for name in ("../ignored", "", "/x"):
        assert await call("PATCH", f"{filled}/upload", data=form(name, f"new {name}")) == (204, None)
        after = await shown(call, filled)
        assert after["job_script_files"] == {**THREE, "files": {**THREE["files"], "m.sh": f"new {name}"}}  # type: ignore[dict-item]
    assert after["updated_at"] > before["updated_at"]


async def test_there_must_be_a_main_file_to_be_replaced_or_downloaded(call: Call, script: str) -> None:
    expected = {"detail": f"Main file from job_script_id={number(script)} was not found."}
    assert await call("PATCH", f"{script}/upload", data=form("x", "x")) == (404, expected)
    assert await call("GET", f"{script}/download") == (404, expected)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_existence_is_judged_before_ownership_and_both_before_the_file(
    call: Call, served: Served, filled: str, method: str
) -> None:
    stranger = served.client_as(email="other@example.com")
    before = await shown(call, filled)
    for missing in (999, 0, -1, 2**31, 10**30):
        expected = {"detail": f"Could not find job_scripts instance with id {missing}"}
        assert await call(method, f"{SCRIPTS}/{missing}/upload", stranger, data=form("..", b"\xff")) == (404, expected)
    status, reply = await call(method, f"{filled}/upload", stranger, data=form("..", b"\xff"))
    assert (status, "does not own job_script" in reply["detail"]) == (403, True)
    assert await shown(call, filled) == before


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_upload_is_limited(make_app: MakeApp, call: Call, method: str) -> None:
    small = (await make_app(settings={"limits": {"max_upload_size": 1000}})).client_as()
    expected = {"detail": "Uploaded files cannot exceed 1000 bytes."}
    _, made = await call("POST", SCRIPTS, small, json={"job_script_name": "js"})
    for target in (f"{SCRIPTS}/{made['id']}", f"{SCRIPTS}/999"):
        assert await call(method, f"{target}/upload", small, data=form("x", "x" * 1000)) == (413, expected)


async def test_put_replaces_all_files_and_shows_them_as_they_were_sent(call: Call, filled: str) -> None:
    before = await shown(call, filled)
    sent = {"main_file_path": "./b//m.sh/", "files": {"y": "", "b/m.sh": "main\r\n", "./x/": "Übung", "C": "c"}}
    status, body = await put(call, filled, sent)
    assert status == 200
    expected = {"b/m.sh": "main\r\n", "y": "", "x": "Übung", "C": "c"}
    assert list(body["job_script_files"]["files"].items()) == list(expected.items())
    assert body["job_script_files"]["main_file_path"] == "b/m.sh"
    after = await shown(call, filled)
    assert after == body
    assert list(after["job_script_files"]["files"]) == ["b/m.sh", "C", "x", "y"]
    assert after["updated_at"] > before["updated_at"]


async def test_put_leaves_the_files_when_it_says_nothing_of_them(call: Call, filled: str) -> None:
    for sent in ({}, {"job_script_files": None}, {"is_archived": True}):
        status, body = await call("PUT", filled, json=sent)
        assert status == 200
        assert body["job_script_files"] == THREE
        assert list(body["job_script_files"]["files"]) == ["m.sh", "a/b", "z"]


async def test_a_change_of_a_job_script_without_files_is_not_kept(call: Call, script: str) -> None:
    expected = {"detail": f"File for JobScript with id={number(script)} not found in S3."}
    assert await put(call, script, None) == (404, expected)
    _, listed = await call("GET", SCRIPTS, params={"sort_field": "id", "sort_ascending": "false"})
    newest = listed["results"][0]
    assert (newest["id"], newest["job_script_name"]) == (int(number(script)), "js")
    assert newest["updated_at"] == newest["created_at"]


@pytest.mark.parametrize(
    ("sent", "loc", "message", "kind"),
    {
        "no such main file": (
            {"main_file_path": "x", "files": {"y": ""}},
            ["__root__"],
            "main_file_path is not a valid key on the dict files",
            "value_error",
        ),
        "no files": (
            {"main_file_path": "x", "files": {}},
            ["__root__"],
            "main_file_path is not a valid key on the dict files",
            "value_error",
        ),
        "a path that leads out": (
            {"main_file_path": "x", "files": {"x": "", "../y": ""}},
            ["__root__"],
            "the path '../y' must not contain '..'",
            "value_error",
        ),
        "an absolute main path": (
            {"main_file_path": "/x", "files": {"/x": ""}},
            ["__root__"],
            "the path '/x' must not be absolute",
            "value_error",
        ),
        "an empty name": (
            {"main_file_path": "x", "files": {"x": "", "": ""}},
            ["__root__"],
            "the path '' must name a file",
            "value_error",
        ),
        "too many": (
            {"main_file_path": "0", "files": {str(n): "" for n in range(101)}},
            ["__root__"],
            "a job script has at most 100 files",
            "value_error",
        ),
        "no main path": ({"files": {"x": ""}}, ["main_file_path"], "field required", "value_error.missing"),
        "no object of files": (
            {"main_file_path": "x", "files": []},
            ["files"],
            "value is not a valid dict",
            "type_error.dict",
        ),
        "a text that is none": (
            {"main_file_path": "x", "files": {"x": {}}},
            ["files", "x"],
            "str type expected",
            "type_error.str",
        ),
        "null for a text": (
            {"main_file_path": "x", "files": {"x": None}},
            ["files", "x"],
            "none is not an allowed value",
            "type_error.none.not_allowed",
        ),
        "no object": ([], [], "value is not a valid dict", "type_error.dict"),
    }.values(),
)
async def test_what_put_may_not_hold_changes_nothing(  # noqa: PLR0917
    call: Call, filled: str, sent: object, loc: list[str], message: str, kind: str
) -> None:
    before = await shown(call, filled)
    expected = {"loc": ["body", "job_script_files", *loc], "msg": message, "type": kind}
    assert await put(call, filled, sent) == (422, {"detail": [expected]})
    assert await shown(call, filled) == before


async def test_texts_of_put_may_be_numbers(call: Call, filled: str) -> None:
    status, body = await put(call, filled, {"main_file_path": 1, "files": {"1": 2.5, "2": True}})
    assert (status, body["job_script_files"]) == (200, {"main_file_path": "1", "files": {"1": "2.5", "2": "True"}})


async def test_a_hundred_files_are_stored(call: Call, filled: str) -> None:
    sent = {"main_file_path": "0", "files": {f"{n}": f"text {n}" for n in range(100)}}
    assert (await put(call, filled, sent))[0] == 200
    assert (await shown(call, filled))["job_script_files"] == sent


async def downloaded(client: Client, script: str) -> tuple[bytes, str, str, str]:
    """The content of the main file, and the headers that tell type and name."""
    async with client.get(f"{script}/download") as response:
        assert response.status == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        names = ("Content-Type", "filename", "Content-Disposition")
        content_type, name, disposition = (response.headers[header] for header in names)
        return await response.read(), content_type, name, disposition


@pytest.mark.parametrize(
    ("path", "name", "disposition"),
    [
        ("main.sh", "main.sh", 'filename="main.sh"'),
        ("out/main.sh", "out/main.sh", 'filename="main.sh"'),
        ("d/with blank;x=1.sh", "d/with blank;x=1.sh", 'filename="with blank;x=1.sh"'),
        ('d"/a"b\\c', 'd"/a"b\\c', 'filename="a\\"b\\\\c"'),
        ("50%/a%41.sh", "50%/a%41.sh", 'filename="a%41.sh"'),
        ("Übung/é.sh", "Übung/é.sh", "filename*=UTF-8''%C3%A9.sh"),
        ("日本/a b'.sh", "%E6%97%A5%E6%9C%AC/a%20b%27.sh", 'filename="a b\'.sh"'),
        ("d/日本 (1).sh", "d/%E6%97%A5%E6%9C%AC%20%281%29.sh", "filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%281%29.sh"),
        ("a\u2028b", "a%E2%80%A8b", "filename*=UTF-8''a%E2%80%A8b"),
    ],
)
async def test_a_download_is_the_main_file_with_its_name(  # noqa: PLR0917
    call: Call, served: Served, script: str, path: str, name: str, disposition: str
) -> None:
    content = "#!/bin/bash\r\nÜbung\n"
    files = {"main_file_path": path, "files": {path: content, "other": ""}}
    assert (await put(call, script, files))[0] == 200
    reader = served.client_as("jobbergate:job-scripts:view", email="other@example.com")
    expected = (content.encode(), "text/plain; charset=utf-8", name, f"attachment; {disposition}")
    assert await downloaded(reader, script) == expected


@pytest.mark.parametrize("path", ["a\r\nX-Injected: yes", "a\nb", "a\r", "\x1b", "a\tb", "a\x7f"])
async def test_no_header_can_be_written_by_a_name(call: Call, filled: str, path: str) -> None:
    before = await shown(call, filled)
    assert (await put(call, filled, {"main_file_path": path, "files": {path: ""}}))[0] == 422
    assert await shown(call, filled) == before


async def test_only_what_is_there_can_be_downloaded(call: Call, filled: str) -> None:
    for missing in (999, 0, -1, 2**31):
        expected = {"detail": f"Could not find job_scripts instance with id {missing}"}
        assert await call("GET", f"{SCRIPTS}/{missing}/download") == (404, expected)
    assert (await call("DELETE", filled))[0] == 204
    assert (await call("GET", f"{filled}/download"))[0] == 404


async def test_a_large_script_comes_back_as_it_was(call: Call, api: Client, script: str) -> None:
    content = "".join(f"echo {line} äöü\n" for line in range(200_000))
    assert (await call("POST", f"{script}/upload", data=form("main.sh", content)))[0] == 200
    assert (await downloaded(api, script))[0] == content.encode()
    assert (await shown(call, script))["job_script_files"]["files"]["main.sh"] == content


async def test_files_of_one_job_script_are_not_those_of_another(call: Call, filled: str) -> None:
    _, other = await call("POST", SCRIPTS, json={"job_script_name": "other"})
    path = f"{SCRIPTS}/{other['id']}"
    assert (await call("PUT", path, json={"job_script_files": THREE}))[0] == 200
    assert (await call("PATCH", f"{path}/upload", data=form("x", "changed")))[0] == 204
    assert (await shown(call, filled))["job_script_files"] == THREE
    assert (await call("DELETE", filled))[0] == 204
    assert (await shown(call, path))["job_script_files"]["files"]["a/b"] == "first"
