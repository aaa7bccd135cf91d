"""The steps of a project's build, as far as they need no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.image import onbuild
from orrery.local.process import Completed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(onbuild, "FILES", tmp_path)
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been started, in order; nothing is."""
    started: list[list[str]] = []

    def run(argv: list[object], **_: object) -> Completed:
        started.append([str(word) for word in argv])
        return Completed(returncode=0, stdout="", stderr="")

    monkeypatch.setattr("orrery.local.process.run", run)
    monkeypatch.setattr(onbuild, "_tidy", lambda: None)
    return started


@pytest.mark.parametrize("line", ["jq; touch /tmp/x", "$(id)", "-o=Dpkg::x", "jq && id", "`id`", "jq|sh"])
def test_what_is_no_package_name_starts_nothing(files: Path, commands: list[list[str]], line: str) -> None:
    (files / "packages.txt").write_text(f"git\n{line}\n")
    with pytest.raises(InputError, match=r"packages\.txt:2"):
        onbuild.packages({})
    assert commands == []


def test_comments_and_windows_line_ends_are_no_packages(files: Path, commands: list[list[str]]) -> None:
    (files / "packages.txt").write_bytes(b"# tools\r\ngit\r\n\r\njq=1.6 # json\r\n")
    onbuild.packages({})
    assert commands[-1][-3:] == ["--", "git", "jq=1.6"]


@pytest.mark.parametrize("content", [None, "", "# nothing\n"])
def test_without_packages_apt_is_not_asked(
    files: Path, commands: list[list[str]], content: str | None
) -> None:
    if content is not None:
        (files / "packages.txt").write_text(content)
    onbuild.packages({})
    assert commands == []


def test_a_package_that_debian_does_not_have_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "packages.txt").write_text("nosuch\n")
    answers = iter(
        [
            Completed(returncode=0, stdout="", stderr=""),
            Completed(returncode=100, stdout="", stderr="E: Unable to locate package nosuch\n"),
        ]
    )
    monkeypatch.setattr("orrery.local.process.run", lambda *_, **__: next(answers))
    monkeypatch.setattr(onbuild, "_tidy", lambda: None)
    with pytest.raises(InputError, match="no package 'nosuch'"):
        onbuild.packages({})


def test_a_pin_of_airflow_is_refused_before_anything_is_installed(
    files: Path, commands: list[list[str]]
) -> None:
    (files / "requirements.txt").write_text("pandas\napache-airflow==3.2.0\n")
    with pytest.raises(InputError, match="line 2"):
        onbuild.requirements({})
    assert commands == []


def test_a_password_in_an_index_address_is_refused_and_not_repeated(
    files: Path, commands: list[list[str]]
) -> None:
    (files / "requirements.txt").write_text(
        "--extra-index-url https://me:hunter2@example.org/simple\npandas\n"
    )
    with pytest.raises(InputError, match="line 1 holds a password") as error:
        onbuild.requirements({})
    assert "hunter2" not in f"{error.value.message}{error.value.hint}"
    assert commands == []


def test_an_index_secret_sets_indexes_only(tmp_path: Path) -> None:
    file = tmp_path / "index"
    file.write_text("# ours\nUV_DEFAULT_INDEX=https://me:hunter2@example.org/simple\n")
    assert onbuild.index_settings(file) == {"UV_DEFAULT_INDEX": "https://me:hunter2@example.org/simple"}
    file.write_text("LD_PRELOAD=/tmp/x.so\n")
    with pytest.raises(InputError, match="line 1"):
        onbuild.index_settings(file)


@pytest.mark.parametrize("answer", ["401 Unauthorized", "403 Forbidden"])
def test_a_login_that_an_index_refuses_is_no_conflict(answer: str) -> None:
    error = onbuild.refused(f"  https://pypi.example.org: ({answer}) pandas==3.0.1", {"pandas": "3.0.1"})
    assert "refused the login" in error.message
    assert "pypi.example.org" in error.message
    assert error.hint is not None
    assert "--netrc" in error.hint


def test_a_conflict_names_what_the_runtime_holds() -> None:
    error = onbuild.refused(
        "  you require pandas==1.0 and pandas==3.0.1", {"pandas": "3.0.1", "numpy": "2.0"}
    )
    assert "The runtime brings pandas 3.0.1" in error.message
    assert "numpy" not in error.message
