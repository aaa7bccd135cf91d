"""Tasks: `orrery up` beside stock Airflow with LocalExecutor, interleaved on the same machine.

    python benchmarks/tasks.py                                  everything, 5 rounds (hours)
    python benchmarks/tasks.py --only chain,fanout --rounds 1   two measures, once
    python benchmarks/tasks.py --show benchmarks/results/*.csv  what earlier runs found, together

docs/performance.md tells what each figure means.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a file: the package `benchmarks` is found from the repository's root
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.lab import facts, history, measures, report, rest, slots
from benchmarks.lab.contest import SIDES, Contest, take
from benchmarks.lab.project import attach
from benchmarks.lab.storm import LIMIT_SECONDS, storm
from benchmarks.lab.sustained import sustained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.lab.contest import Measure

#: In the order in which they are taken: what needs quiet first, what fills the database last.
MEASURES: dict[str, Measure] = {
    "idle": rest.idle,
    "sleeping": rest.sleeping,
    "chain": measures.chain,
    "heavy": measures.heavy,
    "fanout": measures.fanout,
    "slot": slots.held,
    "storm": storm,
    "loss": history.loss,
}


def words(allowed: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of a list of words with commas between them, kept in the order of `allowed`."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = text.split(",")
        if unknown := sorted(set(chosen) - set(allowed)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(allowed)}")
        return tuple(word for word in allowed if word in chosen)

    return parse


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = tuple(MEASURES)
    add = parser.add_argument
    add("--only", type=words(every), default=every, help=",".join(every))
    add("--rounds", type=int, default=5)
    add("--sides", type=words(SIDES), default=SIDES, help=",".join(SIDES))
    add("--executor", choices=("packing", "local"), help="of our orrery.yaml; without it: the default")
    add("--long", type=float, nargs="?", const=15.0, metavar="MINUTES", help="also at full rate for so long")
    add(
        "--limit-storm",
        type=float,
        default=LIMIT_SECONDS,
        metavar="SECONDS",
        help=f"a storm that takes longer is broken off and told as a rate; {LIMIT_SECONDS:.0f}",
    )
    add("--project-keep", action="store_true", help="leave our last deployment running, and tell where")
    add("--project", type=Path, metavar="FOLDER", help="measure the deployment that runs there, once")
    add("--show", type=Path, nargs="+", metavar="CSV", help="only print the table of earlier runs together")
    return parser.parse_args()


def chosen_measures(arguments: argparse.Namespace) -> dict[str, Measure]:
    chosen = {"warm-up": measures.warm_up} | {name: MEASURES[name] for name in arguments.only}
    if "storm" in chosen:
        chosen["storm"] = functools.partial(storm, limit_seconds=arguments.limit_storm)
    if arguments.long:
        chosen["sustained"] = functools.partial(sustained, minutes=arguments.long)
    return chosen


def main() -> None:
    arguments = options()
    if arguments.show:
        report.show(arguments.show)
        return
    # A shell starts what it runs in the background with Ctrl-C ignored, and our children would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = chosen_measures(arguments)
    known = facts.of_this_machine()
    if arguments.project:
        observations = list(take(attach(arguments.project.resolve()), chosen, 0))
        report.publish("project", observations, ("orrery",), known)
        return
    folder = Path(tempfile.mkdtemp(prefix="orrery-bench-"))
    contest = Contest(folder, sides=arguments.sides, measures=chosen, executor=arguments.executor)
    try:
        for number in range(arguments.rounds):
            contest.round(number, keep=arguments.project_keep and number == arguments.rounds - 1)
    finally:
        # What has been measured before an interruption or a failure is kept as well.
        if contest.observations:
            known |= contest.facts | {"load after": facts.load()}
            report.publish("tasks", contest.observations, arguments.sides, known)
        if contest.kept is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
