"""The one door through which `orrery.local` starts programs.

Argument lists only, never a shell; the environment is always given, never inherited unseen; each
command is shown, as a person would type it, to `echo`.
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What `start` returns: poll(), wait(), send_signal(), pid.
Process = subprocess.Popen[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A program that has ended: its exit code (negative: the signal that killed it) and its output."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    keep_open: Sequence[int] = (),
    echo: Callable[[str], None] | None = None,
) -> Completed:
    """Run a program to its end and return what it said, whatever its exit code.

    `timeout` is in seconds; the program is killed when it has passed. The file descriptors
    `keep_open` are passed on: a lock held through one lasts until the program ends, also when we
    are killed first.

    Raises:
        MachineError: the program is not there or cannot be started, or it took longer than `timeout`.
    """
    command = _command(argv, echo)
    try:
        ended = subprocess.run(
            command,
            env=dict(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
            pass_fds=keep_open,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise _not_started(command, error) from error
    except subprocess.TimeoutExpired as error:
        raise MachineError(
            f"'{Path(command[0]).name}' did not end within {timeout:g} seconds and was killed.",
            hint=f"Run it yourself to see why: {shlex.join(command)}",
        ) from error
    return Completed(returncode=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    output: Path | None = None,
    detached: bool = False,
    echo: Callable[[str], None] | None = None,
) -> Process:
    """Start a program and return at once; stdout and stderr are appended to the file `output`.

    Without `output` they go where our own go. A `detached` program leads a session of its own: it
    gets no Ctrl-C of ours and outlives us.

    Raises:
        MachineError: the program is not there or cannot be started.
    """
    command = _command(argv, echo)
    try:
        sink = output.open("ab") if output else None
        try:
            return subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT if sink else None,
                start_new_session=detached,
            )
        finally:
            if sink:
                sink.close()
    except OSError as error:
        raise _not_started(command, error) from error


def _command(argv: Sequence[str | Path], echo: Callable[[str], None] | None) -> list[str]:
    command = [str(part) for part in argv]
    if echo:
        echo(f"$ {shlex.join(command)}")
    return command


def _not_started(command: list[str], error: OSError) -> MachineError:
    reason = error.strerror or str(error)
    at = f" ({error.filename})" if error.filename and str(error.filename) != command[0] else ""
    return MachineError(
        f"Could not start '{command[0]}': {reason}{at}.",
        hint="Run 'orrery doctor': it says what is missing and which command fixes it.",
    )
