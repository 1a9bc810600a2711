"""Allowed addresses of deliveries: public ones, and those in the settings."""

import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import AddrInfoType, TCPConnector, web
from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTPS, HTTP = "https", "http"
UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


class Refused(OSError):
    """A rejected address. The message must not reveal an address from the DNS of the installation."""

    def __init__(self) -> None:
        super().__init__("the address is neither public nor in allowed_networks of this server")


class Addresses:
    """The rules for addresses of deliveries. Plain http is limited to ``networks``."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def allow(self, address: Address, scheme: str = HTTPS) -> bool:
        """Return whether the server may deliver to the address with this scheme."""
        meant = _meant(address)
        if any(address in network or meant in network for network in self._networks):
            return True
        return scheme == HTTPS and _is_public(meant)

    def refusal(self, url: str) -> str | None:
        """Return the reason to reject ``url``; None if it is valid as far as is known before the DNS lookup."""
        try:
            parts = URL(url)
        except ValueError:
            return "must be a URL"
        if not url.isprintable() or " " in url or not parts.host:
            return "must be a URL with a host, without white space"
        if parts.scheme != HTTPS and not (parts.scheme == HTTP and self._networks):
            return "must be an https URL"
        if "@" in parts.raw_authority:
            return "must not contain a user or a password"
        try:
            address = ip_address(parts.host)
        except ValueError:
            return None
        return None if self.allow(address, parts.scheme) else str(Refused())

    def connector(self, scheme: str) -> TCPConnector:
        """Return a connector for this scheme, which checks each address before it connects."""
        return TCPConnector(socket_factory=partial(self._open, scheme))

    def _open(self, scheme: str, target: AddrInfoType) -> socket.socket:
        # The check happens here, not at the DNS lookup: an address in a URL needs no lookup, and a name can change.
        family, kind, protocol, _, (host, *_) = target
        if not self.allow(ip_address(host), scheme):
            raise Refused
        return socket.socket(family, kind, protocol)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address embeds, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not address.is_multicast


ADDRESSES: web.AppKey[Addresses] = web.AppKey("webhook_addresses", Addresses)
