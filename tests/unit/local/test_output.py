"""Progress goes to stderr, in colour only where a person looks."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from orrery.local.output import Progress

if TYPE_CHECKING:
    import pytest


def test_progress_leaves_stdout_to_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.step("Starting")
    progress.done("scheduler")
    progress.failed("triggerer", "exit status 1")
    progress.note("by the way")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "· Starting"
    assert lines[1].startswith("✓ scheduler")
    assert lines[1].endswith(" s")
    assert lines[2].split() == ["✗", "triggerer", "exit", "status", "1"]
    assert lines[3] == "! by the way"
    assert "\x1b" not in err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(quiet=True).failed("scheduler", "gone")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_colours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    Progress().done("scheduler")
    assert "\x1b[32m✓\x1b[0m" in capsys.readouterr().err


def test_a_terminal_without_our_signs_still_gets_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log or terminal that knows ASCII only (LC_ALL=POSIX with PYTHONIOENCODING=ascii)
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stderr", stream)
    Progress().done("scheduler")
    stream.flush()
    assert b"scheduler" in stream.buffer.getvalue()


def test_refused_colours_are_not_for_a_terminal_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    Progress(colours=False).done("scheduler")
    assert "\x1b" not in capsys.readouterr().err


def test_what_is_started_survives_a_reader_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress()
    progress.step("Starting")
    progress.done("scheduler")
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    progress.note("also after it was closed")


def test_a_closed_stderr_does_not_put_progress_on_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    Progress().step("Starting")
    assert capsys.readouterr().out == ""
