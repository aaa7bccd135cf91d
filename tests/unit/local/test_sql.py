"""SQL goes through psql; the password stays out of arguments and messages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from orrery.local.sql import DatabaseError, Login, query

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u@h:5432/d", "p"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql://u@h/d", "p"),
        ("postgresql://u:a%40b%2Fc@h/d", "postgresql://u@h/d", "a@b/c"),
        ("postgresql://u%40corp:p@h/d", "postgresql://u%40corp@h/d", "p"),
        ("postgresql://u:p@[::1]:5432/d", "postgresql://u@[::1]:5432/d", "p"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", "p"),
        ("postgresql://u@h/d", "postgresql://u@h/d", ""),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql", ""),
    ],
)
def test_a_url_is_taken_apart(url: str, bare: str, password: str) -> None:
    login = Login.from_url(url)
    assert (login.url_without_password, login.password) == (bare, password)


def test_a_login_does_not_show_its_password() -> None:
    assert "hunter2" not in repr(Login.from_url("postgresql://u:hunter2@h/d"))


@pytest.fixture
def psql(tmp_path: Path) -> Path:
    """A folder of programs in which `psql` tells how it was called, or fails."""
    file = tmp_path / "psql"
    file.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "script = open(sys.argv[sys.argv.index('-f') + 1]).read()\n"
        "if script == 'BAD': sys.exit('psql: error: no such thing')\n"
        "print(script, os.environ['PGPASSWORD'], *sys.argv[1:], sep='\\x1f')\n"
        "print()\n"
        "print('x')\n"
    )
    file.chmod(0o755)
    return tmp_path


def test_rows_of_text_come_back(psql: Path) -> None:
    rows = query(psql, Login.from_url("postgresql://u:hunter2@h/d"), "SELECT 1")
    assert rows[0][:2] == ["SELECT 1", "hunter2"]
    assert rows[1:] == [["x"]]


def test_neither_password_nor_sql_stand_in_the_arguments(psql: Path) -> None:
    rows = query(psql, Login.from_url("postgresql://u:hunter2@h/d"), "ALTER ROLE x PASSWORD 'secret'")
    arguments = " ".join(rows[0][2:])
    assert "hunter2" not in arguments
    assert "secret" not in arguments


def test_psql_never_asks_a_person_for_a_password(psql: Path) -> None:
    rows = query(psql, Login.from_url("postgresql://u@h/d"), "SELECT 1")
    assert "-w" in rows[0]


def test_a_refusal_tells_the_servers_words_and_not_the_password(psql: Path) -> None:
    with pytest.raises(
        DatabaseError, match=r"postgresql://u@h/d refused: psql: error: no such thing"
    ) as caught:
        query(psql, Login.from_url("postgresql://u:hunter2@h/d"), "BAD")
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint
