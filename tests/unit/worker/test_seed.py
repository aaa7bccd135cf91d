"""The seed as a process of its own: whose children its zygotes are, what they share, and what ends when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.processes import children
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 30

#: An agent with a seed, whose zygotes say what they are and then listen until nobody speaks.
PROGRAM = """
import os, socket, sys, threading, types
from orrery.worker import channel, orphans

def serve(fd):
    end = socket.socket(fileno=fd)
    files = sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{name}"))
    channel.send(end, {"pid": os.getpid(), "session": os.getsid(0), "made": MADE,
                       "input": os.readlink("/proc/self/fd/0"), "files": files})
    channel.receive(end)

sys.modules["orrery.worker.zygote"] = types.SimpleNamespace(serve=serve)
sys.modules["orrery.worker.compat"] = types.SimpleNamespace(import_modules=lambda: None)
sys.modules["structlog"] = types.SimpleNamespace(get_logger=lambda _: types.SimpleNamespace(info=print))
import orrery.worker
orrery.worker.zygote = sys.modules["orrery.worker.zygote"]
orrery.worker.compat = sys.modules["orrery.worker.compat"]
from orrery.worker.seed import Seed

orphans.adopt_descendants()
MADE = "before"
if "threads" in sys.argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
seed = Seed.sow()
MADE = "after"
print("sown", seed is not None, flush=True)
ends = []
for line in sys.stdin:
    match line.strip():
        case "grow":
            ours, theirs = channel.pair()
            with theirs:
                if not seed.grow(theirs):
                    print("no seed", flush=True)
                    continue
            ends.append(ours)
            print(*channel.receive(ours)[0].values(), sep="|", flush=True)
        case "let go":
            seed.let_go()
            print("let go", flush=True)
"""


class Played:
    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def say(self, word: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def children(self) -> set[int]:
        return children(self.process.pid)


@pytest.fixture
def played() -> Iterator[Callable[..., Played]]:
    made: list[Played] = []

    def make(*words: str) -> Played:
        made.append(Played(*words))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.communicate()


def has_children(agent: Played, pids: set[int]) -> bool:
    return agent.children() >= pids


def has_ended(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_zygote_is_the_agents_child_in_a_session_of_its_own_and_has_what_was_made_before(
    played: Callable[..., Played],
) -> None:
    agent = played()
    assert agent.hear() == "sown True"
    (seed,) = agent.children()

    for _ in range(2):
        pid, session, made, stdin, files = agent.say("grow").split("|")
        assert (session, made, stdin) == (pid, "before", os.devnull)
        # Of the seed's channel and the agent's it has no end: its own is the only socket.
        assert files.count("socket:") == 1
        # Once the process between it and the seed has ended, which may be after it has begun.
        until(partial(has_children, agent, {seed, int(pid)}))


def test_it_ends_when_the_agent_lets_go_and_its_zygotes_stay(played: Callable[..., Played]) -> None:
    agent = played()
    agent.hear()
    (seed,) = agent.children()
    zygote = int(agent.say("grow").split("|")[0])

    assert agent.say("let go") == "let go"

    until(lambda: has_ended(seed))
    assert not has_ended(zygote)
    assert agent.say("grow") == "no seed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_both_end_with_the_agent(played: Callable[..., Played], number: signal.Signals) -> None:
    agent = played()
    agent.hear()
    (seed,) = agent.children()
    zygote = int(agent.say("grow").split("|")[0])

    agent.process.send_signal(number)

    until(lambda: has_ended(seed) and has_ended(zygote))


def test_an_agent_whose_seed_was_killed_is_told_so(played: Callable[..., Played]) -> None:
    agent = played()
    agent.hear()
    (seed,) = agent.children()
    os.kill(seed, signal.SIGKILL)
    until(lambda: has_ended(seed))

    assert agent.say("grow") == "no seed"


def test_no_seed_is_made_of_a_process_that_has_threads(played: Callable[..., Played]) -> None:
    agent = played("threads")
    assert "threads" in agent.hear()
    assert agent.hear() == "sown False"
    assert agent.children() == set()
