"""TCP ports of the loopback interface."""

from __future__ import annotations

import errno
import socket

from orrery.errors import MachineError
from orrery.local import processes

HOST = "127.0.0.1"
#: Below it only root may listen.
_FIRST_USER_PORT = 1024


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now.

    Raises:
        MachineError: only root could.
    """
    # A stranger on ::1 would get the browser's calls to `localhost`, so both must be free.
    for family, host in ((socket.AF_INET, HOST), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # As servers do: a port whose last connections are only fading away counts as free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except PermissionError:
            raise MachineError(
                f"Port {port} needs root: it is below {_FIRST_USER_PORT}.",
                hint="Use a higher one: --port 8080",
            ) from None
        except OSError as error:
            # A machine may have no IPv6 at all.
            if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
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
