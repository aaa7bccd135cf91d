"""The last lines of growing files, through rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.local.tail import tail

if TYPE_CHECKING:
    from pathlib import Path


def lines(files: dict[str, Path], count: int = 100) -> list[tuple[str, str]]:
    return list(tail(files, lines=count, follow=False))


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, ["2", "3"]), (9, ["1", "2", "3"])])
def test_the_last_lines_are_shown(tmp_path: Path, count: int, expected: list[str]) -> None:
    file = tmp_path / "log"
    file.write_text("1\n2\n3\n")
    assert [line for _, line in lines({"a": file}, count)] == expected


def test_each_line_names_its_file_and_absent_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n")
    (tmp_path / "b").write_text("2\n")
    assert lines({name: tmp_path / name for name in "axb"}) == [("a", "1"), ("b", "2")]


def test_broken_bytes_are_shown_not_raised(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\n")
    assert lines({"a": tmp_path / "a"}) == [("a", "\ufffd")]


def test_what_is_added_follows(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("1\n")
    followed = tail({"a": file}, lines=10, follow=True)
    assert next(followed) == ("a", "1")
    with file.open("a") as more:
        more.write("2\n3\n")
    assert [next(followed), next(followed)] == [("a", "2"), ("a", "3")]


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("1\n")
    followed = tail({"a": file}, lines=10, follow=True)
    next(followed)
    with file.open("a") as more:
        more.write("2\nhal")
        more.flush()
        assert next(followed) == ("a", "2")
        more.write("f\n")
    assert next(followed) == ("a", "half")


def test_half_a_line_at_the_beginning_waits_too_when_it_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("1\nhal")
    followed = tail({"a": file}, lines=10, follow=True)
    assert next(followed) == ("a", "1")
    with file.open("a") as more:
        more.write("f\n")
    assert next(followed) == ("a", "half")


def test_half_a_line_is_shown_when_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("1\nhal")
    assert [line for _, line in lines({"a": tmp_path / "log"})] == ["1", "hal"]


def test_a_rotated_file_is_followed_into_its_successor(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("1\n")
    followed = tail({"a": file}, lines=10, follow=True)
    next(followed)
    # When more is written, the file is moved away and a new one begun, all between two looks
    with file.open("a") as more:
        more.write("2\n")
    file.rename(tmp_path / "log.1")
    file.write_text("3\n")
    assert next(followed) == ("a", "3")


def test_an_emptied_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("a long line\n")
    followed = tail({"a": file}, lines=10, follow=True)
    next(followed)
    file.write_text("new\n")
    assert next(followed) == ("a", "new")


def test_a_file_that_appears_later_is_picked_up(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1\n")
    followed = tail({"a": first, "b": second}, lines=10, follow=True)
    next(followed)
    second.write_text("2\n")
    assert next(followed) == ("b", "2")
