"""The OpenID Connect provider of a run: discovery and keys over HTTP, and tokens from its key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson

from jobbergate_devkit.issuer import Issuer

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


class Provider:
    """An issuer with a replaceable key. ``fetches`` counts the requests for its keys."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._keys = 0
        self.fetches = 0
        self.issuer = self._next(url)

    def rotate(self) -> None:
        """Replace the key. Sign with the new key, and publish only that."""
        self.issuer = self._next(self.issuer.url)

    def document(self, path: str) -> bytes:
        """Return the document at ``path``; empty if it does not exist."""
        if path == DISCOVERY:
            return orjson.dumps({"issuer": self.issuer.url, "jwks_uri": self.issuer.url + KEYS})
        if path == KEYS:
            self.fetches += 1
            return orjson.dumps(self.issuer.public_keys())
        return b""

    def _next(self, url: str) -> Issuer:
        self._keys += 1
        return Issuer.open(self._folder / str(self._keys), url)


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    """Serve a provider on loopback, with its keys in ``folder``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = it.document(self.path)
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the interface
            """Log nothing, because the output is the table."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it = Provider(folder, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield it
        finally:
            server.shutdown()
            thread.join()
