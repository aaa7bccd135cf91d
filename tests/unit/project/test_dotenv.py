from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.dotenv import EnvFile, read_env_file

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, content: str | bytes, environment: dict[str, str] | None = None) -> EnvFile:
    file = tmp_path / ".env"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(0o644)
    return read_env_file(file, environment or {})


def test_assignments_quotes_comments_and_export_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, "# note\nA=1 # why\nexport B='two words'\nC=\"x\\ny\"\nD=\n\n")
    assert found == EnvFile(values={"A": "1", "B": "two words", "C": "x\ny", "D": ""})


def test_references_are_looked_up_above_then_in_the_environment(tmp_path: Path) -> None:
    found = read(tmp_path, "A=1\nB=${A}-${HOST}-${ABSENT:-none}\n", {"HOST": "db", "A": "shell"})
    assert found.values["B"] == "1-db-none"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfA=1\r\nB=2\r\n").values == {"A": "1", "B": "2"}


def test_a_key_without_a_value_is_passed_over_with_a_notice(tmp_path: Path) -> None:
    found = read(tmp_path, "A=1\n\nLONELY\n")
    assert found.values == {"A": "1"}
    assert found.notices == (".env:3: LONELY has no value and is ignored; write LONELY=",)


def test_a_malformed_line_is_named_but_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "A=1\n\n\nPASSWORD='hunter2\n")
    assert caught.value.message == f"{tmp_path / '.env'}:4: this line is no assignment."
    assert "hunter2" not in str(caught.value.hint)


def test_a_zero_byte_which_no_process_could_receive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=":1:"):
        read(tmp_path, b"A=x\0y\n")


def test_an_absent_file_sets_nothing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env", {}) == EnvFile()
