"""The settings of the plugin."""

from typing import Annotated

from pydantic import Field

from jobbergate_server import Section


class Prometheus(Section):
    """Where Prometheus, and nobody else, finds the metrics of this server under `/metrics`."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on; on one that others reach, a firewall must keep out everybody but Prometheus."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port to listen on, such as 9464; without one, nothing is counted and nothing listens."""
