"""Uploads that want out of their place, or to be more than they look: none becomes a header, a path or much memory."""

from __future__ import annotations

import gzip
import re
import tracemalloc
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from promises import alive, answered

from jobbergate_server.http.forms import MAX_URLENCODED_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from jobbergate_devkit.testing import Client, Served

pytestmark = [pytest.mark.database("sqlite"), pytest.mark.asyncio(loop_scope="module")]

SCRIPTS = "/jobbergate/job-scripts"
APPLICATIONS = "/jobbergate/applications"
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=b"}
END = b"\r\n--b--\r\n"
MEBIBYTE = 2**20
BOMB = 256 * MEBIBYTE
ROOM = BOMB // 2
"""Less than a bomb, and more than the server takes for the largest body."""
SOURCE = b"print(1)\n"
CONFIG = b"application_config: {}\njobbergate_config: {default_template: main.j2}\n"
TEMPLATE = b"#!/bin/bash\n"


def part(content: bytes, name: str | bytes, field: bytes = b"job_script_file", *headers: bytes) -> bytes:
    """A file of a form, with its name as it is."""
    name = name.encode() if isinstance(name, str) else name
    disposition = b'Content-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"'
    lines = [disposition, b"Content-Type: text/plain", *headers]
    return b"--b\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n"


class Owner:
    """Who has a job script and an application, and uploads to them."""

    def __init__(self, client: Client, script: int, application: int) -> None:
        self._client = client
        self.script = f"{SCRIPTS}/{script}"
        self.application = f"{APPLICATIONS}/{application}"

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, Any, Mapping[str, str]]:  # noqa: ANN401 - aiohttp's
        """The status, the JSON and the headers of the answer, which keeps to what all answers do."""
        if "data" in options:
            options["data"] = BytesIO(options["data"])
        async with self._client.request(method, path, **options) as response:
            answer = await answered(response)
            assert answer.complaint is None
        return answer.status, answer.json, answer.headers

    async def upload(self, body: bytes, headers: Mapping[str, str] = FORM_TYPE) -> tuple[int, Any]:
        """Upload to the job script."""
        return (await self.send("POST", f"{self.script}/upload", data=body, headers=headers))[:2]

    async def upload_application(
        self, source: bytes = SOURCE, config: bytes = CONFIG, template: bytes = TEMPLATE, name: str = "main.j2"
    ) -> tuple[int, Any]:
        """Upload all files of the application."""
        files = {"jobbergate.py": source, "jobbergate.yaml": config, name: template}
        body = b"".join(part(content, it, b"upload_files") for it, content in files.items()) + b"--b--\r\n"
        return (await self.send("POST", f"{self.application}/upload", data=body, headers=FORM_TYPE))[:2]

    async def render(self, config: Mapping[str, object]) -> tuple[int, Any]:
        """Make a job script of the application, with other values in its configuration."""
        body = {
            "job_script_name": "made",
            "application_id": int(self.application.rpartition("/")[2]),
            "param_dict": {"jobbergate_config": {"default_template": "main.j2", **config}},
        }
        return (await self.send("POST", SCRIPTS, json=body))[:2]


@pytest_asyncio.fixture(loop_scope="module")
async def attacked(shared_server: Served) -> AsyncIterator[Served]:
    async with alive(shared_server):
        yield shared_server


@pytest_asyncio.fixture(loop_scope="module")
async def owner(attacked: Served) -> Owner:
    client = attacked.client_as()
    ids = []
    for path, body in ((SCRIPTS, {"job_script_name": "x"}), (APPLICATIONS, {"application_name": "x"})):
        async with client.post(path, json=body) as response:
            ids.append((await response.json())["id"])
    return Owner(client, *ids)


ATTACHMENT = r"""attachment; filename(="([^"\\]|\\["\\])*"|\*=UTF-8''[\w%.~-]+)"""
"""The header with one name and nothing else (RFC 6266, section 4.1)."""
LEADING_OUT = [
    "..",
    "../x",
    "a/../../x",
    "./../x",
    "/etc/passwd",
    "//x",
    "/",
    "",
    ".",
    "x/" * 600,
    "x" * 256,
    "é" * 128,
]
WITH_CONTROLS = ["a\0b", "a\tb", "a\x1b[2Jb", "a\x7fb", "a\x85b"]
HARMLESS = [
    "CON",
    "nul.txt",
    "dev/null",
    "..x",
    "...",
    "a\\..\\b",
    "C:\\x",
    "-rf",
    "~root",
    "$(id)",
    "`id`",
    "a b",
    "a;b",
    "a'b",
    "a%0d%0aX: y",
    "a%00b",
    "\u202egnp.sh",
    "a\u2028b",
    "\ufeffa",
    "日本 \U0001f600.sh",
    "a\u200bb",
]
"""Names of files in the job's directory, as strange as they look."""


@pytest.mark.parametrize("name", [*LEADING_OUT, *WITH_CONTROLS], ids=ascii)
async def test_a_name_that_leads_out_or_holds_a_control_is_refused_in_every_way(owner: Owner, name: str) -> None:
    status, answer = await owner.upload(part(b"x", name) + END)
    assert status == 422, answer
    files = {"main_file_path": name, "files": {name: "x"}}
    status, _, _ = await owner.send("PUT", owner.script, json={"job_script_files": files})
    assert status == 422
    assert (await owner.upload_application())[0] == 201
    assert (await owner.render({"supporting_files_output_name": {"main.j2": [name]}}))[0] == 422
    if name not in {"", "."}:  # which mean the job's directory itself
        assert (await owner.render({"output_directory": name}))[0] == 422
    assert (await owner.send("GET", f"{owner.script}/download"))[0] == 404


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\r\n\r\n"], ids=ascii)
async def test_a_line_break_in_a_name_adds_no_header_to_a_download(owner: Owner, break_: str) -> None:
    name = f"a{break_}X-Injected: yes"
    assert (await owner.upload(part(b"x", name) + END))[0] in {200, 400, 422}
    files = {"main_file_path": name, "files": {name: "x"}}
    assert (await owner.send("PUT", owner.script, json={"job_script_files": files}))[0] == 422
    assert (await owner.upload_application())[0] == 201
    assert (await owner.render({"supporting_files_output_name": {"main.j2": [name]}}))[0] == 422
    assert (await owner.render({"output_directory": name}))[0] == 422
    _, _, headers = await owner.send("GET", f"{owner.script}/download")
    assert "X-Injected" not in headers


@pytest.mark.parametrize("name", HARMLESS, ids=ascii)
async def test_a_strange_name_stays_one_name_in_the_headers_of_a_download(owner: Owner, name: str) -> None:
    files = {"main_file_path": name, "files": {name: "x"}}
    assert (await owner.send("PUT", owner.script, json={"job_script_files": files}))[0] == 200
    status, _, headers = await owner.send("GET", f"{owner.script}/download")
    assert status == 200
    assert set(headers) == {
        "Filename",
        "Content-Disposition",
        "X-Content-Type-Options",
        "Content-Type",
        "Content-Length",
        "Date",
        "Server",
        "X-Request-ID",
        "Cache-Control",
        "Etag",
    }
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert re.fullmatch(ATTACHMENT, headers["Content-Disposition"])
    assert re.fullmatch(r"[ -~]+", headers["Filename"])


@pytest.mark.parametrize(
    "name", ["..", "../x.j2", "/etc/x.j2", "a\0b.j2", "a\x1bb.j2", "\u202e.j2", "x" * 300 + ".j2"], ids=ascii
)
async def test_a_template_is_known_by_a_base_name_alone(owner: Owner, name: str) -> None:
    status, answer = await owner.upload_application(name=name)
    if status == 201:
        _, shown, _ = await owner.send("GET", owner.application)
        (known,) = shown["application_templates"]
        assert "/" not in known
        assert known not in {"", ".", ".."}
    else:
        assert status == 422, answer


@pytest.mark.parametrize("content", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", "x".encode("utf-16")], ids=ascii)
async def test_a_file_that_is_no_utf_8_is_refused_everywhere(owner: Owner, content: bytes) -> None:
    assert (await owner.upload(part(content, "main.sh") + END))[0] == 422
    assert (await owner.upload_application(source=content))[0] == 422
    assert (await owner.upload_application(config=content))[0] == 422
    assert (await owner.upload_application(template=content))[0] == 422


async def test_ten_thousand_parts_are_too_many(owner: Owner) -> None:
    tiny = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
    assert await owner.upload(tiny * 10_000 + END) == (422, {"detail": "A form may hold at most 100 files."})


async def test_twenty_thousand_headers_of_a_part_are_too_many(owner: Owner) -> None:
    headers = [b"X-%d: y" % number for number in range(20_000)]
    body = part(b"x", "main.sh", b"job_script_file", *headers) + END
    assert await owner.upload(body) == (400, {"detail": "There was an error parsing the body"})


@pytest.mark.parametrize(
    "body", [b"a=" + b"%41" * MAX_URLENCODED_BYTES, b"a=b&" * MAX_URLENCODED_BYTES, b"+" * (MAX_URLENCODED_BYTES + 1)]
)
async def test_a_form_without_files_is_small(owner: Owner, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert await owner.upload(body, headers) == (413, {"detail": "A form without files cannot exceed 65536 bytes."})


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A body of JSON or of a form that becomes a thousand times larger when it is unpacked."""
    return gzip.compress(bytes(BOMB), compresslevel=1)


@pytest.fixture
def memory() -> Iterator[None]:
    """The test takes no more memory than it may."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < ROOM


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "content_type", ["application/json", FORM_TYPE["Content-Type"], "application/x-www-form-urlencoded"]
)
async def test_a_body_that_is_a_bomb_is_not_unpacked(owner: Owner, bomb: bytes, content_type: str) -> None:
    assert len(bomb) < 2 * MEBIBYTE
    headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
    if content_type == "application/json":
        status, answer, _ = await owner.send("POST", SCRIPTS, data=bomb, headers=headers)
        assert (status, answer) == (413, {"detail": "Request Entity Too Large"})
    else:
        assert (await owner.upload(bomb, headers))[0] in {400, 413}


async def test_a_bomb_within_a_bomb_is_not_unpacked_at_all(owner: Owner, bomb: bytes) -> None:
    twice = gzip.compress(bomb)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"}
    status, answer, _ = await owner.send("POST", SCRIPTS, data=twice, headers=headers)
    assert (status, answer) == (400, {"detail": "There was an error parsing the body"})
    headers["Content-Encoding"] = "gzip"
    status, answer, _ = await owner.send("POST", SCRIPTS, data=twice, headers=headers)
    assert (status, answer) == (400, {"detail": "There was an error parsing the body"})


ALIASES = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (key, key, b", ".join([b"*%c" % (key - 1)] * 9)) for key in range(ord("b"), ord("j"))
)


@pytest.mark.parametrize(
    "files",
    {
        "a template of brackets": {"template": b"{{ " + b"(" * 50_000 + b"1" + b")" * 50_000 + b" }}"},
        "a template of blocks": {"template": b"{% if 1 %}" * 20_000},
        "a template of minus signs": {"template": b"{{ " + b"-" * 200_000 + b"1 }}"},
        "aliases": {"config": ALIASES},
        "a merge of itself": {"config": b"a: &a {<<: *a}\n"},
        "objects of Python": {"config": b"!!python/object/apply:os.system ['id']\n"},
        "a nest of lists": {"config": b"[" * 60_000},
        "a nest of maps": {"config": b"{a: " * 15_000},
        "another document": {"config": CONFIG + b"---\n" + CONFIG},
        "source of brackets": {"source": b"(" * 200_000},
        "source of minus signs": {"source": b"x = " + b"-" * 200_000 + b"1"},
        "source of attributes": {"source": b"a" + b".a" * 100_000},
        "source of a number": {"source": b"x = " + b"9" * 250_000},
        "source with NUL": {"source": b"x = 1\0"},
        "source with a coding": {"source": b"# -*- coding: no-such -*-\n(\n"},
        "a large source": {"source": b"#" * 300_000},
        "a large config": {"config": b"#" * 70_000},
        "a large template": {"template": b"#" * 1_100_000},
    }.values(),
    ids=lambda files: " ".join(f"{name} {content[:12]!r}" for name, content in files.items()),
)
async def test_a_file_that_is_a_bomb_is_refused(owner: Owner, files: dict[str, bytes]) -> None:
    assert (await owner.upload_application(**files))[0] in {413, 422}  # type: ignore[arg-type]  # names of files
    assert (await owner.send("GET", owner.application))[1]["application_uploaded"] is False


@pytest.mark.parametrize(
    "template",
    [
        b"{{ 'x' * 10 ** 9 }}",
        b"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        b"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        b"{{ ''.__class__.__mro__[1].__subclasses__() }}",
        b"{{ data.__class__.__init__.__globals__ }}",
        b"{% include '/etc/passwd' %}",
        b"{% extends '../../../../etc/passwd' %}",
        b"{% import 'os' as os %}",
    ],
)
async def test_a_template_that_is_a_bomb_or_wants_out_makes_no_job_script(owner: Owner, template: bytes) -> None:
    assert (await owner.upload_application(template=template))[0] == 201
    body = {"job_script_name": "made", "application_id": int(owner.application.rpartition("/")[2])}
    async with owner._client.post(SCRIPTS, json=body) as response:  # noqa: SLF001 - the error may name a class of the template's
        assert response.status == 422
        assert "root:" not in await response.text()
    _, found, _ = await owner.send("GET", SCRIPTS, params={"sort_field": "id", "sort_ascending": "false"})
    assert f"{SCRIPTS}/{found['results'][0]['id']}" == owner.script


@pytest.mark.usefixtures("memory")
async def test_a_bomb_of_a_stranger_is_not_unpacked_to_be_thrown_away(
    attacked: Served, bomb: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(*_: object) -> None:
        pytest.fail("it was unpacked")

    monkeypatch.setattr(zlib, "decompressobj", unpack)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with attacked.client().post(SCRIPTS, data=BytesIO(bomb), headers=headers) as response:
        assert (response.status, await response.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "x", "gzip;q=1"])
async def test_a_body_that_is_packed_in_another_way_cannot_be_read(owner: Owner, encoding: str) -> None:
    headers = {**FORM_TYPE, "Content-Encoding": encoding}
    unreadable = (400, {"detail": "There was an error parsing the body"})
    assert await owner.upload(part(b"x", "main.sh") + END, headers) == unreadable
    headers["Content-Type"] = "application/json"
    assert (await owner.send("POST", SCRIPTS, data=b'{"job_script_name":"x"}', headers=headers))[:2] == unreadable


@pytest.mark.parametrize(
    ("encoding", "wbits"),
    [("gzip", 31), ("GZip", 31), ("x-gzip", 31), ("deflate", 15), ("deflate", -15), ("identity", None), ("", None)],
)
async def test_a_packed_body_is_read_as_it_was(owner: Owner, encoding: str, wbits: int | None) -> None:
    def packed(content: bytes) -> bytes:
        if wbits is None:
            return content
        packer = zlib.compressobj(wbits=wbits)
        return packer.compress(content) + packer.flush()

    headers = {**FORM_TYPE, "Content-Encoding": encoding}
    form = packed(part(b"x" * 200_000, "main.sh") + END)
    assert (await owner.upload(form, headers))[0] == 200
    headers["Content-Type"] = "application/json"
    body = packed(b'{"job_script_name":"%b"}' % (b"x" * 200))
    assert (await owner.send("POST", SCRIPTS, data=body, headers=headers))[0] == 201
    if wbits:
        unreadable = (400, {"detail": "There was an error parsing the body"})
        assert await owner.upload(form[:-9], FORM_TYPE | {"Content-Encoding": encoding}) == unreadable
        assert (await owner.send("POST", SCRIPTS, data=body[:-9], headers=headers))[:2] == unreadable
        assert (await owner.send("POST", SCRIPTS, data=body + b"x", headers=headers))[:2] == unreadable
        assert (await owner.send("POST", SCRIPTS, data=body + bytes(200_000), headers=headers))[:2] == unreadable
