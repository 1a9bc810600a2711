"""The settings of the plugin."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field

from jobbergate_server import Section

MONTH = 30 * 86_400


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(text))
    except ValueError:
        raise ValueError("must be an IP network such as 10.20.0.0/16, or an IP address") from None


Seconds = Annotated[float, Field(ge=0.01, le=MONTH)]


class Webhooks(Section):
    """Where webhooks may lead to, and how often a delivery is tried."""

    allowed_networks: list[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]] = Field(default=[])
    """IP networks that are not public and may be delivered to all the same, also by plain http."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 15
    """Seconds in which a delivery must have been answered."""
    retry_after: list[Seconds] = Field(default=[5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400])
    """Seconds to wait after each attempt that failed; after one more a delivery has failed for good."""
