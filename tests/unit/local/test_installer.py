"""What uv is told, and what its failures are turned into."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.errors import MachineError
from orrery.local import process
from orrery.local.installer import Installer, cleaned, reason


def failing(monkeypatch: pytest.MonkeyPatch, stderr: str, **environment: str) -> Installer:
    monkeypatch.setattr(
        process, "run", lambda *_, **__: process.Completed(returncode=2, stdout="", stderr=stderr)
    )
    return Installer(binary=Path("uv"), environment=environment)


def test_pyenv_shims_give_way_to_the_interpreters_behind_them(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3.12.1" / "bin").mkdir(parents=True)
    (tmp_path / "versions" / "2.7.18" / "bin").mkdir(parents=True)
    (tmp_path / "shims").mkdir()
    path = cleaned({"PATH": f"/bin:{tmp_path}/shims:/usr/bin"})["PATH"]
    assert path == f"/bin:{tmp_path}/versions/3.12.1/bin:/usr/bin"


def test_settings_of_the_user_that_do_not_mislead_are_kept() -> None:
    assert cleaned({"UV_DEFAULT_INDEX": "x", "HOME": "/h", "PYTHONPATH": "/p"}) == {
        "UV_DEFAULT_INDEX": "x",
        "HOME": "/h",
    }


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("error: Failed to fetch: `http://index.invalid/`\n  cause: dns error", "index could not be used"),
        ("error: pkg was not found in the cache. hint: the network was disabled", "index could not be used"),
        ("error: failed to write\n  cause: No space left on device (os error 28)", "disk is full"),
        ("error: failed to create `/x`\n  cause: Permission denied (os error 13)", "cannot be written"),
    ],
)
def test_trouble_of_the_machine_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, message: str
) -> None:
    with pytest.raises(MachineError, match=message) as failure:
        failing(monkeypatch, stderr).run("pip", "install", cwd=tmp_path)
    assert failure.value.hint


def test_the_index_setting_that_was_used_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uv = failing(monkeypatch, "error: Failed to fetch: x", UV_DEFAULT_INDEX="http://u:pw@index.invalid")
    with pytest.raises(MachineError, match=r"uv's settings \(UV_DEFAULT_INDEX\)") as failure:
        uv.run("pip", "install", cwd=tmp_path)
    assert "pw" not in failure.value.message


def test_another_failure_is_left_to_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = failing(monkeypatch, "error: No solution found").run("pip", "compile", cwd=tmp_path)
    assert ended.returncode == 2


def test_a_reason_has_no_passwords_no_warnings_and_few_lines() -> None:
    stderr = "warning: w\nerror: Failed: https://user:pw@index.invalid/a\n  cause: c\n" + "more\n" * 50
    told = reason(stderr).splitlines()
    assert told[:2] == ["  Failed: https://***@index.invalid/a", "  c"]
    assert len(told) == 15


def test_a_missing_uv_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import uv

    def find() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(uv, "find_uv_bin", find)
    with pytest.raises(MachineError, match="missing") as failure:
        Installer.find({})
    assert "uv" in str(failure.value.hint)
