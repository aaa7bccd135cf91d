"""What `immortals.settle` does to a process, told as JSON: run in a Python of its own, whichever it is."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import weakref
from pathlib import Path
from typing import Any

from orrery import immortals


class Thing:
    """Something to refer to."""

    def __init__(self, name: str) -> None:
        self.name = name


def counted(number: int) -> str:
    """Return a text of a constant and a key that no collector knows."""

    def inner() -> str:
        return f"a constant of its own: {number}"

    return inner()


def is_immortal(thing: object) -> bool:
    return sys.getrefcount(thing) == sys.getrefcount(None)


def copied_by_looking(things: list[Thing]) -> int:
    """Return how many kB a fork copies that only looks at each."""
    read, write = os.pipe()
    if os.fork() == 0:
        before = private_kilobytes()
        for _ in range(2):
            for thing in things:
                thing.name.__class__  # noqa: B018 - to look is the point
        os.write(write, str(private_kilobytes() - before).encode())
        os._exit(0)
    os.wait()
    return int(os.read(read, 100))


def private_kilobytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(found) for found in re.findall(r"^Private_Dirty:\s+(\d+)", text, re.MULTILINE))


def main() -> None:
    things = [Thing(f"thing {number}") for number in range(100_000)]
    table = {f"key {number}": [number * 1000.5] for number in range(10)}
    text = "as it " + str(len(things))[:0] + "was"
    old = weakref.ref(things[0])
    before = copied_by_looking(things)
    made = immortals.settle()
    after = copied_by_looking(things)

    key, (value, *_) = next(iter(table.items()))
    code = counted.__code__
    reached = [things, things[5], things[5].name, key, value, code, code.co_consts, counted.__name__]
    reached += [each for each in code.co_consts if isinstance(each, str)]
    inner = next(each for each in code.co_consts if hasattr(each, "co_consts"))
    reached += [inner, *inner.co_consts, *inner.co_freevars]

    again = immortals.settle()
    longer = text
    longer += " not"
    table["new"] = [2.5]
    things[1].name = "another"
    del things[0]
    new = Thing("new")
    gone = weakref.ref(new)
    holder = [new]
    things[1:2] = [new]
    del things[1], holder, new
    gc.collect()
    facts = {
        "known": immortals.is_known(),
        "made": made,
        "made_again": again,
        "frozen": gc.get_freeze_count(),
        "immortal": sum(map(is_immortal, reached)),
        "reached": len(reached),
        "copied_before_kilobytes": before,
        "copied_after_kilobytes": after,
        "old_is_kept": old() is not None,
        "new_is_freed": gone() is None,
        "text": text,
        "longer": longer,
        "name": things[0].name,
        "table": len(table),
        "said": counted(7),
        "collects": gc.isenabled(),
    }
    print(json.dumps(facts))


def check(facts: dict[str, Any]) -> None:
    """Check what `main` has told."""
    assert facts["text"] == "as it was"
    assert facts["longer"] == "as it was not"
    assert facts["name"] == "another"
    assert facts["table"] == 11
    assert facts["said"] == "a constant of its own: 7"
    assert facts["new_is_freed"]
    assert facts["collects"]
    assert facts["frozen"] > 100_000
    assert facts["copied_before_kilobytes"] > 5_000
    if facts["known"]:
        assert facts["made"] > 200_000  # 100,000 things and their names
        assert facts["made_again"] < 1_000
        assert facts["immortal"] == facts["reached"]
        assert facts["old_is_kept"]
        assert facts["copied_after_kilobytes"] * 10 < facts["copied_before_kilobytes"]
    else:
        assert facts["made"] == facts["made_again"] == 0
        assert not facts["old_is_kept"]
        assert facts["copied_after_kilobytes"] > 5_000


if __name__ == "__main__":
    main()
