"""A separate network for a server on this machine. One of its two links can be cut without any notification.

`python -m drills.network HOST PORT FAR_HOST FAR_PORT` runs the relay for the processes inside.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from ipaddress import IPv4Network
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

SIZE = 2**16
"""Bytes of one read."""
POSTGRESQL = 5432
ADDRESSES = 24
LINK = 30
NETWORK = 29
"""Bits of the prefixes: of a run, of a link with two ends, and of a network with two links."""
ETHERNET = "02:00:00:00:00:01"
"""The hardware address of this machine on each link."""

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class NetworkError(Exception):
    """A failure to create a network."""


class Network(NamedTuple):
    """A network namespace (network_namespaces(7)), with the addresses of this machine and of a server inside."""

    name: str
    link: str
    """The near end of the link that can be cut."""
    here: str
    """The address of this machine for processes inside, over the link that can be cut."""
    inside: str
    """The address of processes inside for this machine, over the link that is never cut."""

    @property
    def prefix(self) -> list[str]:
        """The prefix of a command that runs inside."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Drop all packets, without closing connections."""
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Restore the link."""
        _ip("link", "set", self.link, "up")


@contextmanager
def network(number: int) -> Iterator[Network]:
    """Create the network with that number, and delete it at the end.

    Raises:
        NetworkError: `ip` (ip-netns(8)) or the required privilege is missing.
    """
    name = f"jobbergate-drill-{os.getpid()}-{number}"
    # RFC 2544, appendix C: addresses for network tests.
    block = IPv4Network((f"198.18.{os.getpid() % 256}.0", ADDRESSES))
    own = list(block.subnets(new_prefix=NETWORK))[number]
    ends = [[str(host) for host in subnet.hosts()] for subnet in own.subnets(new_prefix=LINK)]
    links = [f"jd{os.getpid()}-{number}{kind}" for kind in ("cut", "all")]
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        _ip("-n", name, "link", "set", "lo", "up")
        # While the link is cut, packets must not reach the gateway of this machine.
        _ip("route", "add", "unreachable", str(own))
        stack.callback(_ip, "route", "delete", "unreachable", str(own))
        for link, (here, inside) in zip(links, ends, strict=True):
            far = f"{link}i"
            _ip("link", "add", link, "address", ETHERNET, "type", "veth", "peer", "name", far, "netns", name)
            stack.callback(_ip, "link", "delete", link)
            _ip("address", "add", f"{here}/{LINK}", "dev", link)
            _ip("link", "set", link, "up")
            _ip("-n", name, "address", "add", f"{inside}/{LINK}", "dev", far)
            _ip("-n", name, "link", "set", far, "up")
            # As behind a router: a permanent neighbour entry hides the absence of the peer.
            _ip("-n", name, "neighbour", "add", here, "lladdr", ETHERNET, "dev", far, "nud", "permanent")
        yield Network(name, links[0], ends[0][0], ends[1][1])


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607 - as on a shell
    except FileNotFoundError:
        raise NetworkError("ip is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NetworkError(f"ip {' '.join(arguments)}: {error.stderr.strip()}") from None


@asynccontextmanager
async def relay(host: str, port: int, far: Open) -> AsyncIterator[int]:
    """Relay connections on the address to those that ``far`` opens. Yield the port, a free one if ``port`` is 0."""
    writers: set[asyncio.StreamWriter] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        writers.add(writer)
        try:
            far_reader, far_writer = await far()
            ends.add(far_writer)
            writers.add(far_writer)
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        except OSError:
            writer.transport.abort()
        finally:
            writers.difference_update(ends)

    async with await asyncio.start_server(accept, host, port) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for writer in writers:
                writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def to(url: str) -> Open:
    """Return a function that connects to the server of a URL, also over a Unix socket of PostgreSQL."""
    parts = urlsplit(url)
    if folder := parse_qs(parts.query).get("host"):
        return partial(asyncio.open_unix_connection, f"{folder[0]}/.s.PGSQL.{parts.port or POSTGRESQL}")
    return partial(asyncio.open_connection, parts.hostname, parts.port or POSTGRESQL)


async def main(host: str, port: str, far_host: str, far_port: str) -> None:
    """Relay until the end of the process."""
    async with relay(host, int(port), partial(asyncio.open_connection, far_host, int(far_port))):
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
