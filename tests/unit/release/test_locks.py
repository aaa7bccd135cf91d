"""The locks ship inside the package and are read as name -> version."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

import pytest

from orrery.release.locks import LockName, lock_path, normalised, pins

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", get_args(LockName))
def test_each_lock_is_found_next_to_the_code_and_has_pins(name: LockName) -> None:
    path = lock_path(name)
    assert path.parent.parent.name == "release"
    assert pins(path)


def test_a_lock_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="tools, slim, full, dev"):
        lock_path(cast("LockName", "../slim"))


def test_pins_are_read_whatever_stands_around_them(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# comment==1.0\n"
        "Typing_Extensions==4.16.0 \\\n    --hash=sha256:00\n    # via\n    #   other==9\n"
        "zope.interface[test]==7.2 ; python_full_version < '3.12' \\\n"
        "plain==1.0+local.1\n"
        "numpy==2.4.6 ; python_full_version < '3.12'\n"
        "numpy==2.5.5 ; python_full_version >= '3.12'\n",
        encoding="utf-8",
    )
    assert pins(lock) == {
        "typing-extensions": "4.16.0",
        "zope-interface": "7.2",
        "plain": "1.0+local.1",
        "numpy": "2.5.5",
    }


def test_names_are_compared_as_package_tools_do() -> None:
    assert normalised("Apache_Airflow..Core") == "apache-airflow-core"


def test_every_environment_of_a_release_agrees_with_the_full_lock() -> None:
    full = pins(lock_path("full"))
    for lock in (pins(lock_path("slim")), pins(lock_path("tools"))):
        assert {pin: version for pin, version in lock.items() if full.get(pin) != version} == {}
