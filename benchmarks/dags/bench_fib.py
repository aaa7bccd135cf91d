"""The work of the tasks: the same code for every contender."""

from __future__ import annotations


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)
