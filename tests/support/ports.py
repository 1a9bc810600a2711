"""Ports for servers that are told which one to listen on."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

FIRST, END = 10_000, 32_000
"""Below the ports that the kernel gives to connections and to whoever asks for any (ip_local_port_range in ip(7))."""


def unused_port() -> int:
    """A port of loopback on which nobody listens, and which nobody is given before it is listened on."""
    while True:
        port = FIRST + secrets.randbelow(END - FIRST)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
