"""The contents of files, stored once under their SHA-256: in a local directory, an S3 bucket or memory.

A file is stored before the row that references it is committed. A crash can therefore leave an unreferenced object, but
never a row without its file. Objects never change, so the cache of small ones needs no invalidation.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from cachetools import LRUCache
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from jobbergate_server import settings
from jobbergate_server.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

FILE_STORE_UNAVAILABLE = "The file store is unavailable. Retry the request."
PROBE_KEY = "probe"
DIGEST_LENGTH = 64
"""Characters of a SHA-256 in hexadecimal."""
GRACE = timedelta(days=1)
"""The age up to which an unreferenced object is not deleted: a running request may reference it soon."""
CACHED_FILE_BYTES = 64 * 1024
CACHED_TOTAL_BYTES = 16 * 1024 * 1024
CACHED_OVERHEAD_BYTES = 512
"""Memory of a cached file besides its content; it limits the number of tiny files."""
THREADS = 32
"""The maximum number of concurrent reads and writes."""
CONNECT_SECONDS = 3
"""The time limit for connecting to a bucket, and for retrying a request that it rejects."""
REQUEST_SECONDS = 20.0
"""The time limit for a request to a bucket, from the connection to the end of the response."""
RETRIES = 2
S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""The environment variables that name an S3 service other than Amazon's."""


Result = TypeVar("Result")


class Files:
    """The file store of one application.

    Methods raise `Unavailable` while the store is not reachable, or cannot read or write.
    """

    def __init__(self, config: settings.Files) -> None:
        """Prepare the store that ``config`` names; the first write creates a local directory."""
        self._url = config.url.get_secret_value()
        self._store: ObjectStore | None = None
        self._cache: LRUCache[str, bytes] = LRUCache(CACHED_TOTAL_BYTES, _cached_bytes)
        self._threads = ThreadPoolExecutor(THREADS, "files")

    @property
    def store(self) -> ObjectStore:
        """The underlying object store.

        Raises:
            Exception: The store cannot be opened.
        """
        if self._store is None:
            self._store = _open(self._url)
        return self._store

    async def put(self, content: bytes) -> str:
        """Store ``content`` and return its digest, which is the key for `get`.

        Raises:
            Unavailable: The store is not reachable or not writable.
        """
        try:
            digest = await self._run(_write, content)
        except FileNotFoundError as error:  # the bucket does not exist
            raise Unavailable(FILE_STORE_UNAVAILABLE) from error
        self._remember(digest, content)
        return digest

    async def put_texts(self, texts: Iterable[str]) -> list[str]:
        """Store the texts concurrently and return their digests, in the same order."""
        return await asyncio.gather(*(self.put(text.encode()) for text in texts))

    async def get(self, digest: str) -> bytes:
        """Return the content with the digest ``digest``.

        Raises:
            FileNotFoundError: It does not exist.
        """
        return (await self._get_all([digest]))[digest]

    async def get_text(self, digest: str) -> str:
        """Return the content with the digest ``digest`` as text; the file must be UTF-8."""
        return (await self.get(digest)).decode()

    async def get_texts(self, digests: Iterable[str]) -> dict[str, str]:
        """Return the stored texts by their digests, and read them concurrently.

        Raises:
            FileNotFoundError: A file does not exist.
        """
        contents = await self._get_all(digests)
        return {digest: content.decode() for digest, content in contents.items()}

    async def _get_all(self, digests: Iterable[str]) -> dict[str, bytes]:
        known = {digest: self._cache.get(digest) for digest in digests}
        missing = [digest for digest, content in known.items() if content is None]
        # A share for each thread: one call per file would cost more than reading it from a disk.
        shares = [missing[first::THREADS] for first in range(min(THREADS, len(missing)))]
        found = await asyncio.gather(*(self._run(_read, share) for share in shares))
        fetched = {digest: content for share in found for digest, content in share.items()}
        for digest, content in fetched.items():
            self._remember(digest, content)
        return {digest: fetched[digest] if content is None else content for digest, content in known.items()}

    async def prune(self, used: Callable[[], Awaitable[set[str]]], grace: timedelta = GRACE) -> list[str]:
        """Delete objects that are older than ``grace`` and not among the ``used`` digests, and return their names.

        In a local directory, also delete unfinished files of killed processes.
        """
        limit = datetime.now(UTC) - grace
        old = await self._run(_older, limit)
        removed = []
        # Query the references after listing the objects: rows that are inserted meanwhile count too.
        for digest in sorted(old - await used()):
            found = await self._run(obstore.head, _key(digest))
            if found["last_modified"] <= limit:
                await self._run(obstore.delete, _key(digest))
                removed.append(digest)
        return [*removed, *await self._run(_remove_unfinished, limit)]

    async def ping(self) -> None:
        """Write an empty object with a fixed key, so that concurrent probes do not conflict.

        Raises:
            Unavailable: The store is not reachable or not writable.
        """
        await self._run(obstore.put, PROBE_KEY, b"")

    def _remember(self, digest: str, content: bytes) -> None:
        if len(content) <= CACHED_FILE_BYTES:
            self._cache[digest] = content

    async def _run(self, action: Callable[..., Result], *arguments: object) -> Result:
        # obstore's own coroutines can abort a process that exits just after one of them ends.
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, action, self.store, *arguments)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise Unavailable(FILE_STORE_UNAVAILABLE) from error


def _cached_bytes(content: bytes) -> int:
    return len(content) + CACHED_OVERHEAD_BYTES


def _key(digest: str) -> str:
    # Two levels, because a directory of a million files is slow on some file systems.
    return f"{digest[:2]}/{digest}"


def _write(store: ObjectStore, content: bytes) -> str:
    digest = sha256(content).hexdigest()
    # Overwrite an existing object: `prune` may be about to delete an old one without references.
    obstore.put(store, _key(digest), content)
    return digest


def _read(store: ObjectStore, digests: Iterable[str]) -> dict[str, bytes]:
    return {digest: bytes(obstore.get(store, _key(digest)).bytes()) for digest in digests}


def _older(store: ObjectStore, limit: datetime) -> set[str]:
    """Return the digests of the objects that were written before ``limit``."""
    items = (item for page in obstore.list(store) for item in page)
    found = {item["path"].rpartition("/")[2] for item in items if item["last_modified"] <= limit}
    return {digest for digest in found if len(digest) == DIGEST_LENGTH}


def _remove_unfinished(store: ObjectStore, limit: datetime) -> list[str]:
    """Delete unfinished files older than ``limit``, which obstore did not rename, and return their names."""
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
    if url == settings.MEMORY_URL:
        return MemoryStore()
    if url.startswith("file:"):
        return LocalStore(settings.path_of(url), mkdir=True)
    parts = urlsplit(url)
    # Plain HTTP only if the operator sets it, for services on the same host.
    without_tls = any(os.environ.get(name, "").startswith("http:") for name in S3_ENDPOINTS)
    options: ClientConfig = {
        "allow_http": without_tls,
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
    }
    retries: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=CONNECT_SECONDS)}
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, client_options=options, retry_config=retries)
