"""How a component's garbage is collected: seldom while it starts, often once it has.

Python looks at new objects when there are 700 of them (2000 since 3.12), at those that stayed after ten such
looks, at all after a hundred. A starting api-server makes a million objects that stay: looking at them so was
27 % of its start-up (4.8 s of CPU; 3.5 s with 200,000 instead of 700). But with 200,000 a component that has
started keeps tens of thousands of dead objects for hours: sockets, sessions and exceptions lie in rings.
10,000 costs a start 0.1 s, and memory stays where it is.

A look comes while many objects are made, so in the middle of what makes them: in an api-server, of a run of
hundreds of tasks, one ring of 6,000 objects. The half that is there grows a generation older, and holds the
other half when the run is long answered: nothing of it dies young. So api-server, scheduler and agent, once
they have started, leave what is there out of all looks, and look at old objects after 90,000 new ones.
"""

from __future__ import annotations

import gc

_SELDOM = (10_000, 10, 10)
_OFTEN = (10_000, 2, 2)


def collect_seldom() -> None:
    """Set the numbers of this process, which is starting."""
    gc.set_threshold(*_SELDOM)


def leave_alone() -> None:
    """Keep what there is out of all later collections, once its garbage is collected."""
    gc.collect()
    freeze()


def freeze() -> None:
    """Keep what there is out of all later collections, garbage and all: cheap then, they come often."""
    gc.freeze()
    gc.set_threshold(*_OFTEN)
    # Python looks at all objects once a quarter as many as at its last look are new: from now on, a few.
    gc.collect()
