"""The user's airflow.cfg: found, read as Airflow reads it, and made when missing."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from orrery.config import airflow_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_lies_in_the_home_unless_airflow_config_says_otherwise(tmp_path: Path) -> None:
    home = {"HOME": "/home/ada", "AIRFLOW_HOME": "~/flow"}
    assert str(airflow_file.path_of(home)) == "/home/ada/flow/airflow.cfg"
    assert str(airflow_file.path_of({"HOME": "/home/ada"})) == "/home/ada/airflow/airflow.cfg"
    elsewhere = home | {"AIRFLOW_CONFIG": "${CONF}/my.cfg", "CONF": str(tmp_path)}
    assert airflow_file.path_of(elsewhere) == tmp_path / "my.cfg"


def test_a_variable_that_names_itself_ends() -> None:
    assert airflow_file.expand("$A", {"A": "x$A"}).startswith("xxx")


def test_a_missing_file_is_made_minimal_and_private(tmp_path: Path) -> None:
    given = airflow_file.ensure({"AIRFLOW_HOME": str(tmp_path / "new" / "home")})
    assert given.path == tmp_path / "new" / "home" / "airflow.cfg"
    assert not given.notes
    assert stat.S_IMODE(given.path.stat().st_mode) == 0o600
    assert airflow_file.read(given.path).parser.sections() == []
    assert [path.name for path in given.path.parent.iterdir()] == ["airflow.cfg"]


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "airflow.cfg"
    path.write_text("[core]\nparallelism = 7\n")
    assert airflow_file.ensure({"AIRFLOW_HOME": str(tmp_path)}).path == path
    assert path.read_text() == "[core]\nparallelism = 7\n"


def test_many_at_once_make_one_whole_file(tmp_path: Path) -> None:
    environment = {"AIRFLOW_HOME": str(tmp_path)}
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lambda _: airflow_file.ensure(environment), range(64)))
    assert {each.path for each in given} == {tmp_path / "airflow.cfg"}
    assert (tmp_path / "airflow.cfg").read_text() == airflow_file.MINIMAL.read_text()
    assert len(list(tmp_path.iterdir())) == 1


def test_in_a_home_that_cannot_be_written_our_own_empty_file_stands_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = airflow_file.ensure({"AIRFLOW_HOME": str(tmp_path / "file" / "home")})
    assert given.replaces_airflow_config
    assert given.path == airflow_file.MINIMAL
    assert "cannot be created" in given.notes[0].text


def test_a_path_of_the_users_in_a_missing_folder_is_left_to_airflow(tmp_path: Path) -> None:
    config = tmp_path / "no" / "airflow.cfg"
    given = airflow_file.ensure({"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW_CONFIG": str(config)})
    assert given == airflow_file.GivenFile(path=config)
    assert not config.parent.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[core]\nparallelism = 1\nparallelism = 2\n", "already exists"),
        (b"\xef\xbb\xbf[core]\nparallelism = 1\n", "byte-order mark"),
        (b"parallelism = 1\n", "no section headers"),
        (b"[core]\nname = \xff\xfe\n", "decode"),
    ],
    ids=["duplicate key", "byte-order mark", "no section", "not text"],
)
def test_a_file_that_airflow_cannot_read_is_a_problem_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "airflow.cfg"
    path.write_bytes(content)
    problem = airflow_file.read(path).problem
    assert problem is not None
    assert str(path) in problem
    assert reason in problem


def test_windows_line_ends_and_percent_signs_are_read_as_airflow_does(tmp_path: Path) -> None:
    path = tmp_path / "airflow.cfg"
    path.write_bytes(b"[core]\r\nbase = a\r\nfull = %(base)s-100%%\r\nbroken = 50%\r\nempty =\r\n")
    file = airflow_file.read(path)
    assert file.problem is None
    assert file.value("core", "full") == "a-100%"
    assert file.value("core", "broken") == "50%"
    assert file.has("core", "empty")
    assert not file.has("core", "other")


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert airflow_file.read(tmp_path / "none.cfg").parser.sections() == []
