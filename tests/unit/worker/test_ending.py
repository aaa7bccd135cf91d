from __future__ import annotations

import pytest

from orrery.executor.quantity import GIB, MIB
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.worker.ending import describe, exceeded, signal_name, suggestion
from orrery.worker.usage import Excess, Usage

GIGABYTE_TASK = Request(resources=Resources(cpu_millicores=100, memory_bytes=GIB))


@pytest.mark.parametrize(
    ("code", "usage", "kind", "words"),
    [
        (0, Usage(), "finished", ""),
        # It has coped with the end of a child.
        (0, Usage(oom_kills=1, memory_peak_bytes=GIB), "finished", ""),
        (1, Usage(), "exit_code", "Ended with exit code 1"),
        (
            -9,
            Usage(oom_kills=1, memory_peak_bytes=GIB),
            "out_of_memory",
            "Out of memory: used 1 GiB of 1 GiB; raise resources memory, for instance to 1.5Gi",
        ),
        # A program in it was killed, and it failed for that.
        (
            1,
            Usage(oom_kills=1, memory_peak_bytes=GIB - 4096),
            "out_of_memory",
            "Out of memory: used 1 GiB of 1 GiB; raise resources memory, for instance to 1.5Gi",
        ),
        (
            -9,
            Usage(memory_peak_bytes=100 * MIB),
            "signal",
            (
                "Killed by signal 9 (SIGKILL), not by Orrery: perhaps the machine was out of memory "
                "(see dmesg), or somebody ended it"
            ),
        ),
        (
            -9,
            Usage(memory_peak_bytes=1000 * MIB),
            "signal",
            "Killed by signal 9 (SIGKILL), not by Orrery; it used 1000 MiB of 1 GiB",
        ),
        (-11, Usage(), "signal", "Killed by signal 11 (SIGSEGV), not by Orrery"),
        (
            137,
            Usage(),
            "exit_code",
            "Ended with exit code 137: a program in it had signal 9 (SIGKILL)",
        ),
        (
            1,
            Usage(refused_forks=3),
            "exit_code",
            "Ended with exit code 1; the kernel had refused it more processes: it reached its limit",
        ),
    ],
)
def test_an_end_is_told_with_its_cause(code: int, usage: Usage, kind: str, words: str) -> None:
    assert describe(code, measure=lambda: usage, request=GIGABYTE_TASK, memory_limit_bytes=GIB) == (
        kind,
        words,
    )


def test_of_an_ordinary_end_nothing_is_measured() -> None:
    def measure() -> Usage:
        raise AssertionError

    assert describe(0, measure=measure, request=GIGABYTE_TASK, memory_limit_bytes=GIB) == ("finished", "")


@pytest.mark.parametrize(
    ("excess", "kind", "words"),
    [
        (
            Excess(kind="memory", used=GIB + 20 * MIB, limit=GIB),
            "out_of_memory",
            "Out of memory: used 1.02 GiB of 1 GiB; raise resources memory, for instance to 1.75Gi",
        ),
        (
            Excess(kind="disk", used=2 * GIB + 100 * MIB, limit=2 * GIB),
            "disk_full",
            "Temporary folder used 2.1 GiB of 2 GiB; raise resources disk, for instance to 3.5Gi",
        ),
        (
            Excess(kind="pids", used=68, limit=40),
            "signal",
            (
                "Too many processes: 68 with threads, 40 are allowed; "
                "start fewer, or raise [orrery_executor] pids_limit"
            ),
        ),
    ],
)
def test_what_is_too_much_is_told_with_numbers(excess: Excess, kind: str, words: str) -> None:
    assert exceeded(excess, GIGABYTE_TASK) == (kind, words)


def test_more_memory_is_suggested_as_a_request_when_the_limit_is_above_it() -> None:
    # Given a limit that is twice the request
    limit = 2 * GIB
    # When all of it was used
    _, words = describe(
        -9,
        measure=lambda: Usage(oom_kills=1, memory_peak_bytes=limit),
        request=GIGABYTE_TASK,
        memory_limit_bytes=limit,
    )
    # Then the request is to grow by half, not the limit
    assert words.endswith("used 2 GiB of 2 GiB; raise resources memory, for instance to 1.5Gi")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (MIB, "2Mi"),
        (100 * MIB, "160Mi"),
        (256 * MIB, "384Mi"),
        (400 * MIB, "640Mi"),
        (GIB, "1.5Gi"),
        (2 * GIB, "3Gi"),
        (6 * GIB, "9Gi"),
        (100 * GIB, "150Gi"),
    ],
)
def test_a_suggestion_is_half_as_much_again_in_a_round_figure(amount: int, expected: str) -> None:
    assert suggestion(amount) == expected
    # And a request may say that.
    assert Resources.parse({"memory": suggestion(amount)}).memory_bytes * 2 >= amount * 3


def test_a_signal_without_a_name_is_a_number() -> None:
    assert signal_name(9) == "9 (SIGKILL)"
    assert signal_name(999) == "999"
