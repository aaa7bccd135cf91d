from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.choices import choose

if TYPE_CHECKING:
    from pathlib import Path


def test_a_python_that_the_runtime_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"runs on Python 3\.11, 3\.12, 3\.13, not on 3\.9"):
        choose(tmp_path, name=None, python="3.9", providers="slim")


def test_a_name_that_cannot_be_one_is_refused_with_one_that_can(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        choose(tmp_path, name="My Project", python=None, providers="slim")
    assert caught.value.hint == "For instance: --name my-project"


def test_without_a_name_the_folder_gives_it(tmp_path: Path) -> None:
    choices = choose(tmp_path / "Sales Reports", name=None, python=None, providers="slim")
    assert (choices.name, choices.runtime, choices.airflow) == ("sales-reports", "17.0.0", "3.3.2")
