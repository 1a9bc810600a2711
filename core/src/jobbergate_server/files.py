"""The store for the contents of files: a local directory or an S3 bucket."""

from urllib.parse import urlsplit

import obstore
from aiohttp import web
from obstore.store import LocalStore, ObjectStore, S3Store

from jobbergate_server import settings

PROBE = "probe"


class Files:
    """The file store of one application."""

    def __init__(self, config: settings.Files) -> None:
        """Prepare the store that ``config`` names; a local directory is made when it is first written to."""
        self._url = config.url.get_secret_value()
        self._store: ObjectStore | None = None

    @property
    def store(self) -> ObjectStore:
        """The object store behind it.

        Raises:
            Exception: Whatever the store raises when it cannot be opened.
        """
        if self._store is None:
            self._store = _open(self._url)
        return self._store

    async def ping(self) -> None:
        """Write a small object and delete it.

        Raises:
            Exception: Whatever the store raises when it cannot be reached or written to.
        """
        await obstore.put_async(self.store, PROBE, b"")
        await obstore.delete_async(self.store, PROBE)


FILES: web.AppKey[Files] = web.AppKey("files", Files)


def _open(url: str) -> ObjectStore:
    if url.startswith("file:"):
        return LocalStore(settings.path_of(url), mkdir=True)
    parts = urlsplit(url)
    return S3Store(parts.netloc, prefix=parts.path.strip("/") or None)
