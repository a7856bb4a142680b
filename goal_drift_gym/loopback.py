"""Listening on this machine alone, and telling who asks from elsewhere.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from goal_drift_gym.core.errors import UsageError

LOOPBACK = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost", "::1")
MOST_PORT = 65535


def listen(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1; port 0 takes a free one.

    Raises
    ------
    UsageError
        If there is no such port or it cannot be had.
    """
    if not 0 <= port <= MOST_PORT:
        raise UsageError(f"--port {port}: give 0 to {MOST_PORT}")
    # With the protocol named: only then asyncio sends small answers at once, instead of 40 ms later.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        raise UsageError(f"port {port} of {LOOPBACK} cannot be had: {error}; 0 takes a free one") from error
    return listening


def is_from_here(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request names this machine as its host and, if at all, as its origin.

    A page of another site can have a browser ask this machine under a name of that site.
    """
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    host, origin = found.get(b"host", ""), found.get(b"origin")
    return _host_of(f"//{host}") in HOSTS and (origin is None or _host_of(origin) in HOSTS)


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
