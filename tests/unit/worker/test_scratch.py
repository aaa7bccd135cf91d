from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orrery.worker import scratch

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_folder_is_private_and_must_be_new(tmp_path: Path) -> None:
    scratch.create(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        scratch.create(tmp_path / "a")


def test_the_size_counts_each_file_once_and_follows_no_links(tmp_path: Path) -> None:
    # Given a folder with a file of two names, one in a folder below, and a link to something large
    (tmp_path / "outside").write_bytes(b"x" * 1_000_000)
    folder = tmp_path / "a"
    (folder / "below").mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * 100_000)
    os.link(folder / "file", folder / "same")
    (folder / "below" / "file").write_bytes(b"x" * 100_000)
    (folder / "link").symlink_to(tmp_path / "outside")
    # Then
    assert 200_000 <= scratch.size_bytes(folder) < 300_000


def test_the_size_of_what_is_not_there_is_zero(tmp_path: Path) -> None:
    assert scratch.size_bytes(tmp_path / "none") == 0


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert scratch.remove(tmp_path / "none") == ()


def test_a_link_in_the_folders_place_is_not_followed(tmp_path: Path) -> None:
    # Given a folder that was replaced by a link
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").touch()
    (tmp_path / "a").symlink_to(tmp_path / "outside")
    # When it is removed
    left = scratch.remove(tmp_path / "a")
    # Then what it leads to is untouched, and the link is told of
    assert (tmp_path / "outside" / "precious").exists()
    assert left


def test_many_files_and_folders_are_removed(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / "a" / str(number % 7) / str(number % 11)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / str(number % 7) / f"file{number}").touch()
    assert scratch.remove(tmp_path / "a") == ()
    assert not (tmp_path / "a").exists()
