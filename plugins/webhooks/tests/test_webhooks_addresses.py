"""Addresses: whatever is not public is refused, in whichever way it is written."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from jobbergate_webhooks.addresses import Addresses

PUBLIC = ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - nobody listens on it
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed_by_https_alone(text: str) -> None:
    addresses = Addresses([ip_network("10.0.0.0/8")])
    assert addresses.allow(ip_address(text))
    assert not addresses.allow(ip_address(text), "http")


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_public_is_refused_unless_the_settings_allow_it(text: str) -> None:
    address = ip_address(text)
    assert not Addresses([]).allow(address)
    assert not Addresses([ip_network("10.9.0.0/16"), ip_network("fd00::/8")]).allow(address)
    everything = Addresses([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert everything.allow(address)
    assert everything.allow(address, "http")


def test_an_ipv4_network_holds_its_addresses_in_ipv6_clothes() -> None:
    assert Addresses([ip_network("10.0.0.0/8")]).allow(ip_address("::ffff:10.1.2.3"), "http")
