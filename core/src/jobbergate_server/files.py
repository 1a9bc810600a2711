"""The contents of files, stored once under their SHA-256: in a local directory, an S3 bucket or memory.

A file is stored before the row that points to it is committed, so that a crash can leave an object that nothing points
to, and never a row without its file. Objects never change, which is why small ones are kept in memory without thought.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from jobbergate_server import settings
from jobbergate_server.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

AWAY = "The file store cannot be reached at the moment."
PROBE = "probe"
DIGEST_LENGTH = 64
GRACE = timedelta(days=1)
"""How long an object that no row points to is kept: a request may be about to point to it."""
CACHED_FILE = 64 * 1024
CACHED_TOTAL = 16 * 1024 * 1024
CACHED_BESIDES = 512
"""Bytes of memory that a file takes besides its content, without which a million tiny ones would count for nothing."""
THREADS = 32
"""How many files are read or written at the same time."""
CONNECT_SECONDS = 3
"""How long a bucket may take to accept a connection, and how long a request that it refuses is repeated."""
REQUEST_SECONDS = 20.0
"""How long a bucket may take for a request, from the connection to the end of the answer."""
RETRIES = 2
S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""The variables that name another S3 service than Amazon's."""


Result = TypeVar("Result")


class Files:
    """The file store of one application.

    What needs the store raises `Unavailable` while that cannot be reached, or does not take or give what it should.
    """

    def __init__(self, config: settings.Files) -> None:
        """Prepare the store that ``config`` names; a local directory is made when it is first written to."""
        self._url = config.url.get_secret_value()
        self._store: ObjectStore | None = None
        self._cache = _Cache(CACHED_TOTAL)
        self._threads = ThreadPoolExecutor(THREADS, "files")

    @property
    def store(self) -> ObjectStore:
        """The object store behind it.

        Raises:
            Exception: Whatever the store raises when it cannot be opened.
        """
        if self._store is None:
            self._store = _open(self._url)
        return self._store

    async def put(self, content: bytes) -> str:
        """Store ``content`` and return its digest, by which it is found again.

        Raises:
            Unavailable: The store cannot be reached or written to.
        """
        try:
            digest = await self._run(_write, content)
        except FileNotFoundError as error:  # there is no such bucket
            raise Unavailable(AWAY) from error
        self._cache.add(digest, content)
        return digest

    async def put_texts(self, texts: Iterable[str]) -> list[str]:
        """Store the texts side by side and return their digests, in the same order."""
        return await asyncio.gather(*(self.put(text.encode()) for text in texts))

    async def get(self, digest: str) -> bytes:
        """The content that was stored under ``digest``.

        Raises:
            FileNotFoundError: There is none.
        """
        return (await self._get_all([digest]))[digest]

    async def get_text(self, digest: str) -> str:
        """The stored text; only files that are UTF-8 have one."""
        return (await self.get(digest)).decode()

    async def get_texts(self, digests: Iterable[str]) -> dict[str, str]:
        """The stored texts by their digests, fetched side by side.

        Raises:
            FileNotFoundError: There is none for one of the digests.
        """
        contents = await self._get_all(digests)
        return {digest: content.decode() for digest, content in contents.items()}

    async def _get_all(self, digests: Iterable[str]) -> dict[str, bytes]:
        known = {digest: self._cache.get(digest) for digest in digests}
        missing = [digest for digest, content in known.items() if content is None]
        # A share for each thread: to hand over every file by itself would take longer than to read it from a disk.
        shares = [missing[first::THREADS] for first in range(min(THREADS, len(missing)))]
        found = await asyncio.gather(*(self._run(_read, share) for share in shares))
        fetched = {digest: content for share in found for digest, content in share.items()}
        for digest, content in fetched.items():
            self._cache.add(digest, content)
        return {digest: fetched[digest] if content is None else content for digest, content in known.items()}

    async def prune(self, used: Callable[[], Awaitable[set[str]]], grace: timedelta = GRACE) -> list[str]:
        """Remove the objects that are older than ``grace`` and not among the ``used`` digests, and name them.

        So is what a process that was killed has left half written in a directory; nothing ever reads it.
        """
        limit = datetime.now(UTC) - grace
        old = await self._run(_older, limit)
        removed = []
        # What is used is asked for after the list is made, so that no row is missed that was added meanwhile.
        for digest in sorted(old - await used()):
            found = await self._run(obstore.head, _key(digest))
            if found["last_modified"] <= limit:
                await self._run(obstore.delete, _key(digest))
                removed.append(digest)
        return [*removed, *await self._run(_remove_unfinished, limit)]

    async def ping(self) -> None:
        """Write an empty object; the same each time, so that two who do it at once do not disturb each other.

        Raises:
            Unavailable: The store cannot be reached or written to.
        """
        await self._run(obstore.put, PROBE, b"")

    async def _run(self, action: Callable[..., Result], *arguments: object) -> Result:
        # Not with obstore's own coroutines: one that has just ended can abort the process when it exits at that moment.
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, action, self.store, *arguments)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise Unavailable(AWAY) from error


class _Cache:
    """The small files that were used last, up to a number of bytes of memory."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._contents: OrderedDict[str, bytes] = OrderedDict()

    def get(self, digest: str) -> bytes | None:
        content = self._contents.get(digest)
        if content is not None:
            self._contents.move_to_end(digest)
        return content

    def add(self, digest: str, content: bytes) -> None:
        if self.get(digest) is not None or len(content) > CACHED_FILE:
            return
        self._contents[digest] = content
        self._free -= len(content) + CACHED_BESIDES
        while self._free < 0:
            _, removed = self._contents.popitem(last=False)
            self._free += len(removed) + CACHED_BESIDES


def _key(digest: str) -> str:
    # Two levels, because a directory of a million files is slow on some file systems.
    return f"{digest[:2]}/{digest}"


def _write(store: ObjectStore, content: bytes) -> str:
    digest = sha256(content).hexdigest()
    # Written also when it is there already: an old object that nothing points to may be about to be removed.
    obstore.put(store, _key(digest), content)
    return digest


def _read(store: ObjectStore, digests: Iterable[str]) -> dict[str, bytes]:
    return {digest: bytes(obstore.get(store, _key(digest)).bytes()) for digest in digests}


def _older(store: ObjectStore, limit: datetime) -> set[str]:
    """The digests of the objects that were written before ``limit``."""
    items = (item for page in obstore.list(store) for item in page)
    found = {item["path"].rpartition("/")[2] for item in items if item["last_modified"] <= limit}
    return {digest for digest in found if len(digest) == DIGEST_LENGTH}


def _remove_unfinished(store: ObjectStore, limit: datetime) -> list[str]:
    """Remove the files that obstore has begun before ``limit`` and not renamed, as it does when one is complete."""
    removed = []
    if isinstance(store, LocalStore) and store.prefix is not None:
        for file in sorted(Path(store.prefix).glob("??/*#*")):
            digest = file.name.partition("#")[0]
            is_ours = len(digest) == DIGEST_LENGTH and file.parent.name == digest[:2]
            if is_ours and file.stat().st_mtime <= limit.timestamp():
                file.unlink()
                removed.append(file.name)
    return removed


def _open(url: str) -> ObjectStore:
    if url == settings.MEMORY:
        return MemoryStore()
    if url.startswith("file:"):
        return LocalStore(settings.path_of(url), mkdir=True)
    parts = urlsplit(url)
    # Without TLS only where the operator says so, which is what services on the same host are reached by.
    without_tls = any(os.environ.get(name, "").startswith("http:") for name in S3_ENDPOINTS)
    options: ClientConfig = {
        "allow_http": without_tls,
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
    }
    retries: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=CONNECT_SECONDS)}
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, client_options=options, retry_config=retries)
