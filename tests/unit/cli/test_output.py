"""Tables, JSON and colours, on a terminal and beside one."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.cli.output import colours_wanted, is_terminal, print_json, print_table

MAIN = [sys.executable, "-c", "from orrery.cli.main import main; main()"]
REPOSITORY = Path(__file__).parents[3]
ANSI = "\x1b["


def on_a_terminal(command: list[str], **environment: str) -> str:
    """Run a command with a terminal for all its streams and return what is on it."""
    controller, terminal = pty.openpty()
    told = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "FORCE_COLOR")}
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**told, "TERM": "xterm", **environment},
        cwd=REPOSITORY,
    ) as process:
        os.close(terminal)
        written = b""
        while True:
            try:
                chunk = os.read(controller, 65536)
            except OSError:  # the last one has closed the terminal
                break
            if not chunk:
                break
            written += chunk
        process.wait(timeout=60)
    os.close(controller)
    return written.decode()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_refused(environment: dict[str, str], wanted: bool) -> None:
    assert colours_wanted(environment) is wanted


@pytest.mark.parametrize("arguments", [["release", "list"], ["release", "policy"], ["release", "show", "no"]])
def test_a_terminal_gets_colours_unless_they_are_refused(arguments: list[str]) -> None:
    assert ANSI in on_a_terminal([*MAIN, *arguments])
    assert ANSI not in on_a_terminal([*MAIN, *arguments], NO_COLOR="1")
    assert ANSI not in on_a_terminal([*MAIN, *arguments], TERM="dumb")


@pytest.mark.parametrize("script", ["setup", "frontend"])
def test_the_scripts_of_the_repository_colour_for_a_terminal_only(script: str) -> None:
    text = (REPOSITORY / "bin" / script).read_text()
    function = text[text.index("say() {") : text.index("\n}\n", text.index("say() {")) + 3]
    say = ["bash", "-c", f"{function} say hello"]
    assert ANSI in on_a_terminal(say)
    assert ANSI not in on_a_terminal(say, NO_COLOR="1")
    assert ANSI not in on_a_terminal(say, TERM="dumb")
    assert subprocess.run(say, capture_output=True, text=True, check=True).stderr == "· hello\n"
    assert "\\033" not in text.replace(function, "")


def test_a_closed_stream_is_no_terminal() -> None:
    assert not is_terminal(None)
    assert not is_terminal(io.StringIO())


def test_a_row_that_is_piped_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 100
    print_table(["NAME", "TEXT"], [("a", long), ("b", None)])
    rows = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\s*[ab]\b", line)]
    assert len(rows) == 2
    assert long.strip() in rows[0]


def test_a_terminal_gets_lines_that_fit() -> None:
    code = "from orrery.cli.output import print_table; print_table(['TEXT'], [('word ' * 100,)])"
    lines = on_a_terminal([sys.executable, "-c", code], COLUMNS="60", NO_COLOR="1").splitlines()
    assert max(map(len, lines)) <= 60


def test_brackets_in_a_cell_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A"], [("[bold]x[/bold]",)])
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_json_loses_no_letter_where_the_encoding_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr("sys.stdout", stream)
    print_json({"name": "Zürich ✓"})
    stream.flush()
    assert json.loads(stream.buffer.getvalue()) == {"name": "Zürich ✓"}
