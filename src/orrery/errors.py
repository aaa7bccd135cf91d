"""Errors that people read: what happened, why, and what to do next.

Raised where the cause is known, caught and printed in one place (`orrery.cli.main`). Libraries never
print and never exit. The exit codes are documented in docs/reference/exit-codes.md.
"""

from __future__ import annotations


class OrreryError(Exception):
    """Something failed. `hint` is the next step, in the imperative; `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(OrreryError):
    """What the user gave is wrong: an argument, a file, a version. Nothing was changed."""

    exit_code = 2


class UnhealthyError(OrreryError):
    """A deployment runs, but not all of it is well."""

    exit_code = 3


class StateError(OrreryError):
    """The deployment is not in the state that the command needs (not running, already running)."""

    exit_code = 4


class MachineError(OrreryError):
    """The machine lacks something: a port, disk, memory, a permission, a program, a Python."""

    exit_code = 5
