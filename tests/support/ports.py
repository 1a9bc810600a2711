"""Ports for servers that are told which one to listen on."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import count

FIRST, BLOCK, BLOCKS = 10_000, 64, 340
"""Below the ports that the kernel gives to connections and to whoever asks for any (ip_local_port_range in ip(7))."""

# Each process has a block of its own to begin with, and gives none of it twice.
_ports = count(FIRST + os.getpid() % BLOCKS * BLOCK)


def unused_port() -> int:
    """A port of loopback on which nobody listens, and which nobody else is given before it is listened on."""
    while True:
        port = next(_ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
