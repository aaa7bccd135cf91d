from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.text import read_packages, read_text

if TYPE_CHECKING:
    from pathlib import Path


def test_packages_are_read_without_comments_and_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "packages.txt"
    file.write_bytes(b"\xef\xbb\xbf# tools\r\nlibpq-dev\r\n\r\ng++ # compiler\r\ngit=1:2.39 libpq-dev\r\n")
    assert read_packages(file) == ("libpq-dev", "g++", "git=1:2.39")
    assert read_packages(tmp_path / "absent.txt") == ()


@pytest.mark.parametrize("line", ["--allow-unauthenticated", "a;b", "$(id)"])
def test_what_is_no_package_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "packages.txt").write_text(f"git\n{line}\n")
    with pytest.raises(InputError, match=r"packages\.txt:2:"):
        read_packages(tmp_path / "packages.txt")


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("pandas\n", encoding="utf-16")
    with pytest.raises(InputError, match="UTF-16"):
        read_text(file)
    file.write_bytes(b"pandas\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"requirements\.txt:2: this is not UTF-8"):
        read_text(file)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)
