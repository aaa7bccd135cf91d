"""Which requirements lie on this machine."""

from __future__ import annotations

import pytest

from orrery.local.inputs import Place


@pytest.mark.parametrize(
    ("line", "path", "is_editable"),
    [
        ("./pkg", "./pkg", False),
        ("../pkg", "../pkg", False),
        ("/opt/pkg-1.0-py3-none-any.whl", "/opt/pkg-1.0-py3-none-any.whl", False),
        ("-e .", ".", True),
        ("-e ./pkg", "./pkg", True),
        ("-e file:///opt/pkg", "/opt/pkg", True),
        ("demo @ file:///opt/demo.whl", "/opt/demo.whl", False),
        ("demo[extra] @ file:///opt/demo", "/opt/demo", False),
        ("./pkg ; sys_platform == 'linux'", "./pkg", False),
    ],
)
def test_a_folder_or_file_of_this_machine_is_a_place(line: str, path: str, is_editable: bool) -> None:
    assert Place.of(line) == Place(path=path, is_editable=is_editable)


@pytest.mark.parametrize(
    "line",
    [
        "demo==1.0",
        "demo @ https://files.invalid/demo.whl",
        "demo @ git+https://git.invalid/demo@abc",
        "-e git+https://git.invalid/demo#egg=demo",
        "--index-url http://127.0.0.1/simple",
        "--find-links ./wheels",
    ],
)
def test_what_comes_from_an_index_or_an_address_is_none(line: str) -> None:
    assert Place.of(line) is None
