"""The file store: contents under their digests in a directory, a bucket or memory, and the removal of unused ones."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from commands import run
from moto.server import ThreadedMotoServer
from processes import refused

from jobbergate_server.errors import Unavailable
from jobbergate_server.files import CACHED_FILE_BYTES, CACHED_OVERHEAD_BYTES, CACHED_TOTAL_BYTES, GRACE, THREADS, Files
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Call


NOTHING = timedelta(0)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-north-1"}


def opened(url: str) -> Files:
    return Files(load_settings(files={"url": url}).files)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A service that speaks S3, with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with urlopen(Request(f"{endpoint}/bucket", method="PUT")):  # noqa: S310 - a URL of this test
        pass
    yield endpoint
    server.stop()


@pytest.fixture(params=["file", "memory", "s3", "s3 without a prefix"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> str:
    """The URL of an empty store of each kind."""
    if request.param == "file":
        return f"file:///{tmp_path}/store"
    if request.param == "memory":
        return "memory:///"
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = f"b{sha256(str(tmp_path).encode()).hexdigest()[:32]}"
    with urlopen(Request(f"{s3_endpoint}/{bucket}", method="PUT")):  # noqa: S310 - a URL of this test
        pass
    endpoint, prefix = ("AWS_ENDPOINT_URL", "/a/b") if request.param == "s3" else ("AWS_ENDPOINT_URL_S3", "")
    monkeypatch.setenv(endpoint, s3_endpoint)
    return f"s3://{bucket}{prefix}"


@pytest.fixture
def files(url: str) -> Files:
    return opened(url)


async def unused() -> set[str]:
    return set()


async def test_what_is_put_is_found_under_its_digest(files: Files, url: str) -> None:
    contents = [b"", b"one", "Übung\r\n".encode(), bytes(range(256)), b"x" * (CACHED_FILE_BYTES + 1), b"y" * 6_000_000]
    digests = [await files.put(content) for content in contents]
    assert digests == [sha256(content).hexdigest() for content in contents]
    for store in (files, files if url.startswith("memory:") else opened(url)):
        assert [await store.get(digest) for digest in digests] == contents
    assert await files.get_texts(digests[:3]) == dict(zip(digests, ["", "one", "Übung\r\n"], strict=False))


async def test_many_texts_are_found_by_the_digests_that_they_were_put_under(files: Files, url: str) -> None:
    texts = [f"text {number}" for number in range(THREADS + 5)]
    digests = await files.put_texts(texts)
    store = files if url.startswith("memory:") else opened(url)
    assert await store.get(digests[3]) == b"text 3"
    assert await store.get_texts([*digests, *digests[:2]]) == dict(zip(digests, texts, strict=True))
    with pytest.raises(FileNotFoundError):
        await store.get_texts([*digests, sha256(b"never").hexdigest()])


async def test_the_same_content_is_stored_once(files: Files) -> None:
    assert len({await files.put(b"twice") for _ in range(2)}) == 1
    assert len(await asyncio.gather(*(files.put(b"at the same time") for _ in range(20)))) == 20
    assert len(await files.prune(unused, NOTHING)) == 2


async def test_what_was_never_put_is_not_found(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        await files.get(sha256(b"never").hexdigest())


async def test_only_old_and_unused_files_are_removed(files: Files, url: str) -> None:
    used, other, another = [await files.put(text) for text in (b"used", b"other", b"another")]
    await files.ping()

    async def using() -> set[str]:
        return {used, sha256(b"of another store").hexdigest()}

    assert await files.prune(using) == []
    assert await files.prune(using, NOTHING) == sorted([other, another])
    assert await files.prune(using, NOTHING) == []
    store = files if url.startswith("memory:") else opened(url)
    assert await store.get(used) == b"used"
    if store is not files:
        with pytest.raises(FileNotFoundError):
            await store.get(other)
    assert await files.put(b"other") == other
    assert await store.get(other) == b"other"


async def test_a_file_that_is_put_again_while_unused_ones_are_removed_stays(tmp_path: Path) -> None:
    files = opened(f"file:///{tmp_path}/store")
    kept, removed = await files.put(b"kept"), await files.put(b"removed")
    for digest in (kept, removed):
        make_old(tmp_path / "store" / digest[:2] / digest)

    async def using() -> set[str]:
        await files.put(b"kept")
        return set()

    assert await files.prune(using) == [removed]
    assert await opened(f"file:///{tmp_path}/store").get(kept) == b"kept"


async def test_removing_touches_nothing_that_is_not_a_file_of_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    files = opened(f"file:///{folder}")
    digest = await files.put(b"unused")
    strangers = [folder / "README", folder / "ab" / "cd", folder / digest, folder / "00" / digest]
    for path in (*strangers, folder / digest[:2] / digest):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        make_old(path)
    assert await files.prune(unused) == [digest]
    assert all(path.exists() for path in strangers)


async def test_what_a_killed_process_has_left_half_written_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    files = opened(f"file:///{folder}")
    used = await files.put(b"used")
    old, young = (folder / used[:2] / f"{used}#{number}" for number in (1, 2))
    strangers = [folder / "00" / f"{used}#1", folder / "ab" / "abc#1"]
    for path in (old, young, *strangers):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"us")
        if path != young:
            make_old(path)

    async def using() -> set[str]:
        return {used}

    assert await files.prune(using) == [old.name]
    assert not old.exists()
    assert all(path.exists() for path in (young, *strangers))
    assert await opened(f"file:///{folder}").get(used) == b"used"


async def test_small_files_that_were_used_last_are_kept_in_memory(tmp_path: Path) -> None:
    files = opened(f"file:///{tmp_path}/store")
    fitting = CACHED_TOTAL_BYTES // CACHED_FILE_BYTES
    contents = [number.to_bytes(4) * (CACHED_FILE_BYTES // 4) for number in range(fitting + 10)]
    first, second, *rest = [await files.put(content) for content in contents[:fitting]]
    await files.get(first)
    late = [await files.put(content) for content in contents[fitting:]]
    large = await files.put(b"x" * (CACHED_FILE_BYTES + 1))
    for path in (tmp_path / "store").glob("??/*"):
        path.unlink()
    for digest in (first, rest[-1], *late):
        assert sha256(await files.get(digest)).hexdigest() == digest
    for digest in (second, *rest[:8], large):
        with pytest.raises(FileNotFoundError):
            await files.get(digest)


async def test_many_tiny_files_take_no_more_memory_than_a_few_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobbergate_server.files.CACHED_TOTAL_BYTES", 10 * CACHED_OVERHEAD_BYTES)
    files = opened(f"file:///{tmp_path}/store")
    digests = [await files.put(bytes([number])) for number in range(20)]
    shutil.rmtree(tmp_path / "store")
    for digest in digests[-9:]:
        assert sha256(await files.get(digest)).hexdigest() == digest
    for digest in digests[:-9]:
        with pytest.raises(FileNotFoundError):
            await files.get(digest)


def make_old(path: Path, age: timedelta = GRACE) -> None:
    moment = (datetime.now(UTC) - age - timedelta(minutes=1)).timestamp()
    os.utime(path, (moment, moment))


def prune(database_url: str, folder: Path, **variables: str) -> tuple[int, list[str], str]:
    """Exit status and output of the command."""
    own = {"JOBBERGATE_DATABASE__URL": database_url, "JOBBERGATE_FILES__URL": f"file:///{folder}"}
    done = run(folder.parent, "files", "prune", **own, **variables)
    return done.exit_code, done.stdout.splitlines(), done.stderr


def stored(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("??/*")}


async def fill(call: Call) -> tuple[int, int]:
    """An application and a job script with files; their ids."""
    _, application = await call("POST", "/jobbergate/applications", json={"application_name": "app"})
    config = "application_config: {}\njobbergate_config: {}\n"
    path = f"/jobbergate/applications/{application['id']}"
    assert (await call("PUT", path, json={"application_config": config}))[0] == 200
    _, script = await call("POST", "/jobbergate/job-scripts", json={"job_script_name": "js"})
    files = {"main_file_path": "main.sh", "files": {"main.sh": "#!/bin/sh\n", "data": "1"}}
    path = f"/jobbergate/job-scripts/{script['id']}"
    assert (await call("PUT", path, json={"job_script_files": files}))[0] == 200
    return application["id"], script["id"]


async def test_the_command_removes_what_no_row_has_pointed_to_for_a_day(
    call: Call, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    application_id, script_id = await fill(call)
    used = stored(folder)
    assert len(used) == 3
    store = opened(f"file:///{folder}")
    old, young = await store.put(b"old"), await store.put(b"young")
    for digest in (*used, old):
        make_old(folder / digest[:2] / digest)
    assert prune(database_url, folder) == (0, [old], "")
    assert stored(folder) == used | {young}
    assert prune(database_url, folder) == (0, ["No files to delete."], "")

    assert (await call("DELETE", f"/jobbergate/job-scripts/{script_id}"))[0] == 204
    _, removed, _ = prune(database_url, folder)
    assert len(removed) == 2
    assert (await call("DELETE", f"/jobbergate/applications/{application_id}"))[0] == 204
    _, last, _ = prune(database_url, folder)
    assert {*removed, *last} == used
    assert stored(folder) == {young}


async def test_the_command_removes_nothing_while_a_plugin_with_rows_is_not_active(
    call: Call, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    await fill(call)
    for path in folder.glob("??/*"):
        make_old(path)
    disabled = '["email-notifications", "job-submissions", "job-scripts"]'
    status, output, errors = prune(database_url, folder, JOBBERGATE_PLUGINS__DISABLED=disabled)
    assert (status, output) == (1, [])
    assert errors == (
        "Error: The tables of job_scripts, job_submissions may reference files, but these plugins are not active. "
        "Activate them, or remove their tables.\n"
    )
    assert len(stored(folder)) == 3


async def test_the_command_removes_nothing_by_the_word_of_a_database_without_tables(
    empty_database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    digest = await opened(f"file:///{folder}").put(b"old")
    make_old(folder / digest[:2] / digest)
    status, output, errors = prune(empty_database_url, folder)
    assert (status, output) == (1, [])
    assert errors.startswith("Error: The database schema is out of date. Missing migrations: ")
    assert stored(folder) == {digest}


@pytest.mark.database("sqlite")
def test_the_command_says_when_the_store_is_not_there(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    variables = {"JOBBERGATE_DATABASE__URL": database_url, "JOBBERGATE_FILES__URL": f"file:///{tmp_path}/files"}
    assert refused(tmp_path, "files", "prune", **variables).startswith("Error: files.url: not writable")


async def test_a_bucket_that_does_not_exist_is_a_store_that_is_away(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match=r"^The file store is unavailable\. Retry the request\.$"):
        await opened("s3://nobodys-bucket/files").put(b"text")
