"""Choosing TCP ports on loopback."""

from __future__ import annotations

import socket
from collections.abc import Collection


def free_port(used: Collection[int] = ()) -> int:
    """A port of loopback that nobody listens on, outside of ``used``."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in used:
            return port


def preferred_port(preferred: int, used: Collection[int] = ()) -> int:
    """``preferred`` if it can be bound on loopback and is not among ``used``, else a free one."""
    if preferred and preferred not in used:
        with socket.socket() as probe:
            # As servers do: a port whose old connections still linger is not in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", preferred))
            except OSError:
                return free_port(used)
            return preferred
    return free_port(used)
