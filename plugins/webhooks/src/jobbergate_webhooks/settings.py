"""The settings of the plugin."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field

from jobbergate_server import Section

MONTH = 30 * 86_400
"""Seconds."""


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(text))
    except ValueError:
        raise ValueError("must be an IP network such as 10.20.0.0/16, or an IP address") from None


Seconds = Annotated[float, Field(ge=0.01, le=MONTH)]


class Webhooks(Section):
    """Allowed addresses of webhooks, and retries of deliveries."""

    allowed_networks: list[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]] = Field(default=[])
    """IP networks that are not public but may receive deliveries, also over plain http."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 15
    """Seconds within which the receiver must respond."""
    retry_after: list[Seconds] = Field(default=[5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400])
    """Seconds to wait after each failed attempt. After one more attempt the delivery has failed."""
