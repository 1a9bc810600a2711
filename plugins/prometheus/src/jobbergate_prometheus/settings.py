"""The settings of the plugin."""

from typing import Annotated

from pydantic import Field

from jobbergate_server import Section


class Prometheus(Section):
    """The port that serves the metrics under `/metrics`. Only Prometheus must be able to reach it."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on. If it is not loopback, a firewall must admit only Prometheus."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port to listen on, such as 9464. Without a port, the plugin collects no metrics."""
