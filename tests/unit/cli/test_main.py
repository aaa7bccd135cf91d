"""The one place that prints errors: what, why, next step, and the exit code."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import pytest

from orrery import __version__
from orrery.cli import main as command_line
from orrery.errors import InputError, MachineError, OrreryError, StateError, UnhealthyError
from orrery.local.output import Progress

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line with one command that raises what it is given: exit code, stdout, stderr."""

    def run(error: BaseException) -> tuple[int, str, str]:
        @click.command()
        def fails() -> None:
            raise error

        monkeypatch.setattr(command_line.LazyGroup, "get_command", lambda *_: fails)
        monkeypatch.setattr(sys, "argv", ["orrery", "fails"])
        with pytest.raises(SystemExit) as stop:
            command_line.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.mark.parametrize(
    ("kind", "code"),
    [(OrreryError, 1), (InputError, 2), (UnhealthyError, 3), (StateError, 4), (MachineError, 5)],
)
def test_an_error_tells_what_and_the_next_step_and_ends_with_its_code(
    raising: Run, kind: type[OrreryError], code: int
) -> None:
    assert raising(kind("It broke.", hint="Mend it.")) == (code, "", "Error: It broke.\nNext: Mend it.\n")


def test_an_error_without_a_next_step_prints_none(raising: Run) -> None:
    assert raising(OrreryError("It broke.")) == (1, "", "Error: It broke.\n")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, click.Abort, EOFError])
def test_an_interrupt_is_no_error(raising: Run, kind: type[BaseException]) -> None:
    code, out, err = raising(kind())
    assert (code, out) == (130, "")
    assert err.strip() == "Interrupted."


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_disk_refuses_is_an_error_that_people_read(raising: Run, number: int) -> None:
    code, out, err = raising(OSError(number, os.strerror(number), "/some/file"))
    assert (code, out) == (5, "")
    assert "/some/file" in err
    assert os.strerror(number) in err
    assert "Next:" in err
    assert "Traceback" not in err


def test_an_error_of_our_own_making_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def fails() -> None:
        raise FileNotFoundError(errno.ENOENT, "a bug", "/x")

    monkeypatch.setattr(command_line.LazyGroup, "get_command", lambda *_: fails)
    monkeypatch.setattr(sys, "argv", ["orrery", "fails"])
    with pytest.raises(FileNotFoundError):
        command_line.main()


def orrery(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from orrery.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_version_is_told() -> None:
    ended = orrery("--version")
    assert (ended.returncode, ended.stdout) == (0, f"orrery, version {__version__}\n")


def test_a_wrong_option_is_a_wrong_input() -> None:
    ended = orrery("status", "--colour")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--colour" in ended.stderr


@pytest.mark.parametrize("command", [["release", "list"], ["release", "list", "-o", "json"], ["--help"]])
def test_a_reader_that_goes_early_is_no_error(command: list[str]) -> None:
    # Given a pipe whose reader has gone before anything was written, as `orrery ... | true`
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-c", "from orrery.cli.main import main; main()", *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 0


def test_an_error_that_nobody_reads_keeps_its_code() -> None:
    # Given `orrery nonsense 2>&1 | true`
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-c", "from orrery.cli.main import main; main()", "nonsense"],
        stdout=writer,
        stderr=writer,
    ) as process:
        os.close(writer)
        assert process.wait(timeout=60) == 2


def test_a_connection_that_breaks_is_not_taken_for_a_reader_that_went(raising: Run) -> None:
    code, out, err = raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (code, out) == (1, "")
    assert "closed its end" in err


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_letters_that_the_encoding_lacks_are_no_failure(
    tmp_path: Path, environment: dict[str, str], form: str
) -> None:
    folder = tmp_path / "Zürich"
    ended = subprocess.run(
        [sys.executable, "-c", "from orrery.cli.main import main; main()", "init", folder, "-o", form],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_progress_in_letters_that_the_encoding_lacks_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "argv", ["orrery", "--version"])
    with pytest.raises(SystemExit):
        command_line.main()
    Progress().done("scheduler")
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"? scheduler")
