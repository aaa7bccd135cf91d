"""How a task's process ended, in words with numbers. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from orrery.executor import notation
from orrery.executor.quantity import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.executor.protocol import Ending
    from orrery.executor.request import Request
    from orrery.worker.usage import Excess, Usage

#: What a shell says of a child that a signal has ended: 128 and the signal's number.
_SHELL_SIGNAL = 128
#: A process near its limit that was killed by nobody we know was killed for its memory, or failed for it.
_NEAR = 0.95


def describe(
    code: int, *, measure: Callable[[], Usage], request: Request, memory_limit_bytes: int
) -> tuple[Ending, str]:
    """Return the kind and the words for an exit code, negative for a signal, of a task that we did not kill.

    The words of an ordinary end are empty, and for it nothing is measured: that is to read a dozen files.
    """
    if code == 0:
        # What was killed was none of the processes that count: the task has coped.
        return "finished", ""
    usage = measure()
    if usage.oom_kills:
        used = max(usage.memory_peak_bytes, memory_limit_bytes)
        return "out_of_memory", out_of_memory(used, memory_limit_bytes, request)
    if usage.refused_forks:
        return "exit_code", f"{_exit(code)}; the kernel had refused it more processes: it reached its limit"
    if code < 0:
        text = f"{_exit(code)}, not by Orrery"
        if code == -signal.SIGKILL and usage.memory_peak_bytes >= memory_limit_bytes * _NEAR:
            text += f"; it used {_bytes(usage.memory_peak_bytes)} of {_bytes(memory_limit_bytes)}"
        elif code == -signal.SIGKILL:
            text += ": perhaps the machine was out of memory (see dmesg), or somebody ended it"
        return "signal", text
    return "exit_code", _exit(code)


def exceeded(excess: Excess, request: Request) -> tuple[Ending, str]:
    """Return the kind and the words for a task that the agent kills because it uses too much."""
    match excess.kind:
        case "memory":
            return "out_of_memory", out_of_memory(excess.used, excess.limit, request)
        case "disk":
            return "disk_full", (
                f"Temporary folder used {_bytes(excess.used)} of {_bytes(excess.limit)}; "
                f"raise resources disk, for instance to {suggestion(max(excess.used, excess.limit))}"
            )
        case "pids":
            return "signal", (
                f"Too many processes: {excess.used} with threads, {excess.limit} are allowed; "
                "start fewer, or raise [orrery_executor] pids_limit"
            )


def out_of_memory(used_bytes: int, limit_bytes: int, request: Request) -> str:
    """Return the words for a task that ran into its memory limit."""
    # Never 'used 1 GiB of 1.01 GiB': who is killed had used it up.
    used = notation.bytes_text(max(used_bytes, limit_bytes), rounding="up")
    more = suggestion(
        max(request.resources.memory_bytes, used_bytes * request.resources.memory_bytes // limit_bytes)
    )
    return (
        f"Out of memory: used {used} of {_bytes(limit_bytes)}; raise resources memory, for instance to {more}"
    )


def suggestion(amount_bytes: int) -> str:
    """Return half as much again, as a figure that a person would write: `384Mi`, `1.5Gi`."""
    wanted = amount_bytes * 3 // 2
    step = next(step for least, step in _STEPS if wanted >= least)
    rounded = -(-wanted // step) * step
    return f"{rounded / GIB:g}Gi" if rounded >= GIB else notation.bytes_notation(rounded)


#: From so many bytes on, in steps of so many.
_STEPS = (
    (8 * GIB, GIB),
    (2 * GIB, 512 * MIB),
    (GIB, 256 * MIB),
    (512 * MIB, 128 * MIB),
    (64 * MIB, 16 * MIB),
    (0, MIB),
)


def signal_name(number: int) -> str:
    """Return `9 (SIGKILL)`."""
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _exit(code: int) -> str:
    if code < 0:
        return f"Killed by signal {signal_name(-code)}"
    if _SHELL_SIGNAL < code < _SHELL_SIGNAL + signal.NSIG:
        return f"Ended with exit code {code}: a program in it had signal {signal_name(code - _SHELL_SIGNAL)}"
    return f"Ended with exit code {code}"


def _bytes(amount: int) -> str:
    return notation.bytes_text(amount)
