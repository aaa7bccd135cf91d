"""Whether the component of this container is well: what HEALTHCHECK asks every few seconds.

It asks what the component does, not whether a process is there: the api-server's own health page, a
heartbeat in the database, the worker's socket. Airflow is not imported; that alone would take seconds of
CPU, in every container, every time. What one probe needs and the others do not is imported by that one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.components import AIRFLOW_COMPONENTS, Component
from orrery.errors import OrreryError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A heartbeat is due every five seconds; Airflow itself gives up after 30.
_OLDEST_HEARTBEAT_SECONDS = 30
_ANSWER_SECONDS = 5


def main() -> int:
    """Return 0 when all is well or nothing is to be well here (a plain command), else 1 with the reason."""
    component = named(sys.argv[1:] or _arguments_of_the_container())
    if component is None:
        return 0
    try:
        trouble = found(component, os.environ)
    except (OSError, OrreryError) as error:
        trouble = str(error)
    sys.stdout.write(f"{component.name}: {trouble or 'well'}\n")
    return 1 if trouble else 0


def named(arguments: list[str]) -> Component | None:
    """Return the component that a command line names: the word after the entrypoint, or `airflow NAME`."""
    words = [Path(word).name for word in arguments]
    if "orrery-entrypoint" in words:
        words = words[words.index("orrery-entrypoint") + 1 :]
    if words[:1] == ["airflow"]:
        words = words[1:]
    return next((known for known in AIRFLOW_COMPONENTS if words[:1] == [known.name]), None)


def _arguments_of_the_container() -> list[str]:
    try:
        return [word for word in Path("/proc/1/cmdline").read_text().split("\0") if word]
    except OSError:
        return []


def found(component: Component, environment: Mapping[str, str]) -> str | None:
    """Return what is wrong with a component of this machine; None when it is well."""
    if component.probe == "http":
        return _asked(int(environment.get("AIRFLOW__API__PORT") or 8080))
    if component.probe == "socket":
        return _reached(environment)
    return _heard(component, environment)


def _asked(port: int) -> str | None:
    import http.client  # noqa: PLC0415 - see above

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/v2/version")
        status = connection.getresponse().status
    finally:
        connection.close()
    return None if status == 200 else f"answers {status}"


def _reached(environment: Mapping[str, str]) -> str | None:
    home = environment.get("AIRFLOW_HOME", ".")
    path = environment.get("AIRFLOW__ORRERY_EXECUTOR__SOCKET") or f"{home}/run/worker.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(path)
    return None


def _heard(component: Component, environment: Mapping[str, str]) -> str | None:
    from orrery.image import database  # noqa: PLC0415 - see above

    address = database.url(environment)
    if address is None:
        return None  # no database that can be asked: only Airflow knows it
    connection = database.Database(address)
    try:
        rows = connection.ask(
            "SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job"
            " WHERE job_type = %s AND state = 'running' AND hostname = ANY(%s)"
            " HAVING max(latest_heartbeat) IS NOT NULL",
            (component.job_type, _own_names()),
        )
    finally:
        connection.close()
    if not rows:
        return "has sent no heartbeat yet"
    age = float(rows[0][0])
    return f"last heartbeat {age:.0f} s ago" if age > _OLDEST_HEARTBEAT_SECONDS else None


def _own_names() -> list[str]:
    """Return what Airflow may have called this machine, by whichever `hostname_callable`."""
    names = [socket.gethostname(), socket.getfqdn()]
    with contextlib.suppress(OSError):
        names.append(socket.gethostbyname(names[0]))
    return names


if __name__ == "__main__":
    sys.exit(main())
