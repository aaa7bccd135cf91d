"""What was made before a fork, for good: its objects need no counts, so that forks go on sharing them.

Python counts references in the object itself. A forked process that merely looks at an object so writes to
it, and the kernel copies the page. Since Python 3.12 an object whose count is a certain value is *immortal*:
nobody counts it any more, as None or the integer 1 (PEP 683, "Accommodating Tooling": made for this). Here
all objects of a process become immortal. It is for processes from which others are forked, and which keep
what they have loaded in any case.

What it means for what exists by then: it is never freed, its weak references never end, `__del__` never runs,
and code that asks for counts finds a large one. What is made later lives and dies as ever.
"""

from __future__ import annotations

import ctypes
import gc
import struct
import sys
import sysconfig
from collections import deque
from itertools import repeat
from types import CodeType

from orrery import garbage

#: All of the lower 32 bits of the count, and none of the others: Include/object.h of Python 3.12 and 3.13.
_COUNT = 0xFFFFFFFF
_BYTES = struct.pack("=Q", _COUNT)


def settle() -> int:
    """Collect garbage, then keep what is left out of all collections and counts; return how many objects.

    Where Python has no immortal objects, or others than we know, none is made: 0. Call it between tasks, with
    one thread, in no function that is just building something.
    """
    gc.collect()
    made = _make() if is_known() else 0
    garbage.freeze()
    return made


def is_known() -> bool:
    """Return whether this Python has immortal objects as we know them."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] in ((3, 12), (3, 13))
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and not sysconfig.get_config_var("Py_TRACE_REFS")
        and sys.maxsize > _COUNT
        and sys.getrefcount(None) == _COUNT
    )


def _make() -> int:
    """Make all objects that the collector knows immortal, and all that they refer to."""
    made = 0
    count_of = sys.getrefcount
    with_collector = gc.isenabled()
    gc.disable()
    # Loops that Python runs in C: half a million objects took 1.2 to 1.7 s of CPU on a busy machine.
    found = gc.get_objects()
    while found:
        objects = list({id(each): each for each in found if count_of(each) != _COUNT}.values())
        deque(map(ctypes.memmove, map(id, objects), repeat(_BYTES), repeat(len(_BYTES))), maxlen=0)
        made += len(objects)
        found = gc.get_referents(*objects)
        for each in objects:
            if type(each) is dict:
                found += each  # the collector is not told of keys that are strings
            elif type(each) is CodeType:
                found += _parts(each)
    if with_collector:
        gc.enable()
    return made


def _parts(code: CodeType) -> list[object]:
    """Return what a code object refers to; the collector does not know."""
    return [
        *(code.co_consts, code.co_names, code.co_filename, code.co_name, code.co_qualname),
        *(code.co_linetable, code.co_exceptiontable),
        *code.co_varnames,
        *code.co_freevars,
        *code.co_cellvars,
    ]
