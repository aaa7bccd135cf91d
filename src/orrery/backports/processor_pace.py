"""The DAG processor looks for work once a second, as it means to, not twice.

Its loop waits for its parsing processes as long as is left of a second, but counts the wait of the round
before as work: after each round that has waited, one does not. So everything in the loop, seven statements
among it, runs twice as often. Here the second counts from the end of the last wait. What wakes the wait
does so as ever.

Private name of Airflow used here: `DagFileProcessorManager._service_processor_sockets`, with which
`_run_parsing_loop` waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: Airflow's own, in `_run_parsing_loop`.
_ROUND_SECONDS = 1.0


def apply(manager: ModuleType) -> None:
    """Mend `airflow.dag_processing.manager`."""
    wrap(manager.DagFileProcessorManager, "_service_processor_sockets", _paced)


def _paced(service: Callable[..., None]) -> Callable[..., None]:
    # The manager that has waited last, and until when. A process has one.
    last: tuple[Any, float] | None = None

    def _service_processor_sockets(self: Any, timeout: float | None = 1.0) -> None:
        nonlocal last
        if timeout is not None and last is not None and last[0] is self:
            timeout = max(timeout, _ROUND_SECONDS - (time.monotonic() - last[1]))
        service(self, timeout)
        last = (self, time.monotonic())

    return _service_processor_sockets
