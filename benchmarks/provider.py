"""The OpenID Connect provider of a run: discovery and keys over HTTP, tokens from its key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson

from jobbergate_server.issuer import Issuer

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


@contextmanager
def provider(folder: Path) -> Iterator[Issuer]:
    """An issuer that keeps its key in ``folder``, and whose discovery and keys are served on loopback."""
    documents: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document or b"")))
            self.end_headers()
            self.wfile.write(document or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the interface
            """Say nothing: the output is the table."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer.open(folder, f"http://127.0.0.1:{server.server_port}")
        documents[DISCOVERY] = orjson.dumps({"issuer": issuer.url, "jwks_uri": issuer.url + KEYS})
        documents[KEYS] = orjson.dumps(issuer.public_keys())
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
