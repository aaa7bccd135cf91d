"""Which runtime line follows which Airflow minor. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_AIRFLOW = re.compile(r"(\d+)\.(\d+)(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity table: line number -> Airflow minor, such as 17 -> '3.3'."""

    minors: Mapping[int, str]

    def runtime_for_airflow(self, airflow: str) -> int | None:
        """Return the line for an Airflow version (`3.3.2`, `3.3`, `3.3.2rc1`), or None when there is none."""
        minor = airflow_minor(airflow)
        return next((line for line, known in self.minors.items() if known == minor), None)


def airflow_minor(airflow: str) -> str | None:
    """Return `3.3` for `3.3`, `3.3.2` or `3.3.2+local.1`; None when the text is no Airflow version."""
    match = _AIRFLOW.match(airflow.strip())
    return f"{int(match[1])}.{int(match[2])}" if match else None
