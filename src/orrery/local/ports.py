"""TCP ports of the loopback interface."""

from __future__ import annotations

import socket

from orrery.errors import MachineError
from orrery.local import processes

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are only fading away counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that is free now, chosen by the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """Check that a port is free.

    Raises:
        MachineError: it is taken, by whom is told, and which near port is free.
    """
    if is_free(port):
        return
    holder = processes.listener(port)
    by = f" by {holder}" if holder else ""
    other = next((near for near in range(port + 1, min(port + 100, 65536)) if is_free(near)), free_port())
    raise MachineError(
        f"Port {port} is taken{by}.",
        hint=f"Port {other} is free: orrery up --port {other}",
    )
