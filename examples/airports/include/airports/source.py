"""The register of airports, as the package `airportsdata` publishes it."""

from __future__ import annotations

from typing import Any


class RegisterBusyError(ConnectionError):
    """The register did not answer; asking again a little later helps."""


def read_register(*, attempt: int, flaky: bool) -> list[dict[str, Any]]:
    """Return every row of the register.

    A flaky register drops the first attempt of each run, as a public service does now and then. It is
    decided by the attempt's number and not by chance, so that a run always goes the same way.
    """
    if flaky and attempt == 1:
        raise RegisterBusyError("The register closed the connection (attempt 1); the next attempt will do.")
    import airportsdata

    return list(airportsdata.load("ICAO").values())
