"""Shared secrets: made once, private, and never replaced."""

from __future__ import annotations

import base64
import configparser
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.config import secrets
from orrery.config.airflow_file import AirflowFile
from orrery.config.defaults import load
from orrery.config.user import UserSettings
from orrery.errors import MachineError


def user(**environment: str) -> UserSettings:
    file = AirflowFile(path=Path("airflow.cfg"), parser=configparser.ConfigParser())
    return UserSettings(environment=environment, file=file, old_names=load().old_names)


def make(folder: Path) -> secrets.Kept:
    return secrets.ensure(folder, secrets.SECRETS, inherited={})


def test_they_are_made_once_and_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "secrets"
    first = make(folder)
    assert first.notes == ()
    assert set(first.values) == secrets.VARIABLES
    assert len(set(first.values.values())) == 3
    assert make(folder).values == first.values
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_each_secret_is_as_long_as_its_use_asks_for(tmp_path: Path) -> None:
    # Fernet takes 32 bytes exactly, HS512 no fewer than 64.
    sizes = {
        name: len(base64.urlsafe_b64decode(value)) for name, value in make(tmp_path / "s").values.items()
    }
    assert sizes == {
        "AIRFLOW__CORE__FERNET_KEY": 32,
        "AIRFLOW__API_AUTH__JWT_SECRET": 64,
        "AIRFLOW__API__SECRET_KEY": 32,
    }


def test_a_shorter_secret_of_an_earlier_release_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    (folder / "jwt_secret").write_text("short\n")
    (folder / "jwt_secret").chmod(0o600)
    assert make(folder).values["AIRFLOW__API_AUTH__JWT_SECRET"] == "short"
    assert (folder / "jwt_secret").read_text() == "short\n"


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from orrery.config import secrets;"
        f"print(secrets.ensure(Path({str(tmp_path / 'secrets')!r}), secrets.SECRETS, inherited={{}}).values)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 6
    assert len(answers) == 1
    assert len(list((tmp_path / "secrets").iterdir())) == 3


@pytest.mark.parametrize("suffix", ["", "_CMD", "_SECRET"])
def test_what_the_user_sets_in_any_way_is_not_made(suffix: str) -> None:
    names = [each.option for each in secrets.missing(user(**{f"AIRFLOW__CORE__FERNET_KEY{suffix}": "x"}))]
    assert names == ["jwt_secret", "secret_key"]


def test_a_private_key_or_an_old_name_makes_a_secret_needless() -> None:
    given = user(AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH="/key", AIRFLOW__WEBSERVER__SECRET_KEY="x")
    assert [each.option for each in secrets.missing(given)] == ["fernet_key"]


def test_a_secret_that_others_can_read_is_made_private_and_told(tmp_path: Path) -> None:
    before = make(tmp_path / "s").values
    (tmp_path / "s" / "fernet_key").chmod(0o644)
    after = make(tmp_path / "s")
    assert after.values == before
    assert "0600" in after.notes[0].text
    assert stat.S_IMODE((tmp_path / "s" / "fernet_key").stat().st_mode) == 0o600


def test_a_folder_in_which_others_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(MachineError, match="replace the secrets"):
        make(folder)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "s")
    (tmp_path / "s" / "jwt_secret").write_text("\n")
    with pytest.raises(MachineError, match="is empty"):
        make(tmp_path / "s")


def test_where_no_file_can_be_made_it_is_told_once_and_nothing_is_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = make(tmp_path / "file" / "secrets")
    assert kept.values == {}
    assert len(kept.notes) == 1
    assert "ORRERY_SECRETS_DIR" in kept.notes[0].text


def test_a_process_that_cannot_reach_the_files_uses_what_it_inherited(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    inherited = {"AIRFLOW__CORE__FERNET_KEY": "k"}
    kept = secrets.ensure(tmp_path / "file" / "s", secrets.SECRETS[:1], inherited=inherited)
    assert kept.values == inherited
    assert kept.notes == ()
