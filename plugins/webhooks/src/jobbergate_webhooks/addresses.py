"""Where deliveries may go: to public addresses, and to those that the settings allow."""

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
    """An address that nothing is delivered to; the text does not tell what a name stands for in the site's DNS."""

    def __init__(self) -> None:
        super().__init__("its address is not public, and the settings of this server do not allow it")


class Addresses:
    """Which addresses may be delivered to; plain http is for those of ``networks`` only."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def allow(self, address: Address, scheme: str = HTTPS) -> bool:
        """Whether a delivery may go to the address by this scheme."""
        meant = _meant(address)
        if any(address in network or meant in network for network in self._networks):
            return True
        return scheme == HTTPS and _is_public(meant)

    def refusal(self, url: str) -> str | None:
        """Why nothing is delivered to ``url``; None when there is no reason before its host's name is looked up."""
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
        """What opens connections for this scheme, each to an address that was looked at just before."""
        return TCPConnector(socket_factory=partial(self._open, scheme))

    def _open(self, scheme: str, target: AddrInfoType) -> socket.socket:
        # Here and not where names are looked up: addresses in a URL are not, and a name may mean another one by now.
        family, kind, protocol, _, (host, *_) = target
        if not self.allow(ip_address(host), scheme):
            raise Refused
        return socket.socket(family, kind, protocol)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if it does."""
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
