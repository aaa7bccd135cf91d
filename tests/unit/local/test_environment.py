"""Which environment a runtime gets. uv is replaced where its process would start; nothing is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orrery import __version__
from orrery.errors import InputError, MachineError
from orrery.local import environment, process
from orrery.release import catalogue
from orrery.release.locks import lock_path, pins

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = next(version for version in ("3.12", "3.13") if version != RUNNING)


class FakeUv:
    """Answers as uv does; `fails` maps a word of the command to (exit code, stderr)."""

    def __init__(self, fails: dict[str, tuple[int, str]] | None = None, python: str = "/opt/python") -> None:
        self.fails = fails or {}
        self.python = python
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []

    def run(self, argv: list[str | Path], *, env: dict[str, str], **_: object) -> process.Completed:
        command = [str(part) for part in argv][1:]
        self.commands.append(command)
        self.environments.append(env)
        for word, (code, stderr) in self.fails.items():
            if any(word in part for part in command):
                return process.Completed(returncode=code, stdout="", stderr=stderr)
        if command[0] == "venv":
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        listed = '[{"version": "3.11.2"}, {"version": "3.9.18"}, {"version": "3.11.2"}]'
        stdout = listed if command[:2] == ["python", "list"] else self.python
        return process.Completed(returncode=0, stdout=stdout, stderr="")


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    fake = FakeUv()
    monkeypatch.setattr(process, "run", fake.run)
    return fake


def ensure(
    cache: Path, version: str = __version__, python: str = OTHER, providers: environment.ProviderSet = "slim"
) -> tuple[environment.RuntimeEnvironment, list[str]]:
    lines: list[str] = []
    env = {"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1", "VIRTUAL_ENV": "/elsewhere"}
    found = environment.ensure_runtime(
        version, python, providers, cache_dir=cache, env=env, report=lines.append
    )
    return found, lines


def test_the_environment_of_the_tools_is_used_when_it_is_a_runtime(tmp_path: Path, uv: FakeUv) -> None:
    runtime, lines = ensure(tmp_path, python=RUNNING)
    assert (runtime.origin, runtime.python) == ("current", Path(sys.executable))
    assert (runtime.site_packages / "airflow" / "__init__.py").is_file()
    assert (uv.commands, lines) == ([], [])


def test_the_environment_of_the_tools_is_not_used_for_providers_that_it_lacks(
    tmp_path: Path, uv: FakeUv
) -> None:
    runtime, _ = ensure(tmp_path, python=RUNNING, providers="full")
    assert runtime.origin == "cached"
    assert runtime.python.is_relative_to(tmp_path)


def test_the_environment_of_the_tools_is_not_used_when_airflow_is_another_version(
    tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = pins(lock_path("slim"))
    monkeypatch.setattr(environment, "pins", lambda _: {**locked, "apache-airflow-core": "3.3.99"})
    runtime, _ = ensure(tmp_path, python=RUNNING)
    assert runtime.origin == "cached"


def test_a_missing_environment_is_made_from_the_lock_with_hashes_and_byte_code(
    tmp_path: Path, uv: FakeUv
) -> None:
    runtime, lines = ensure(tmp_path)
    install = uv.commands[-1]
    assert {"--require-hashes", "--no-deps", "--compile-bytecode"} <= set(install)
    assert install[-1] == str(lock_path("slim"))
    assert any("/opt/python" in command for command in uv.commands if command[0] == "venv")
    assert lines[-1].startswith("Installing ") and f"(slim, Python {OTHER})" in lines[-1]
    assert runtime.python.exists()


def test_uv_is_not_misled_by_the_environment_of_the_caller(tmp_path: Path, uv: FakeUv) -> None:
    ensure(tmp_path)
    assert all(not {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"} & set(env) for env in uv.environments)


def test_a_complete_environment_costs_no_command(tmp_path: Path, uv: FakeUv) -> None:
    first, _ = ensure(tmp_path)
    uv.commands.clear()
    second, lines = ensure(tmp_path)
    assert (second, uv.commands, lines) == (first, [], [])


def test_an_environment_that_was_never_finished_is_made_again(tmp_path: Path, uv: FakeUv) -> None:
    runtime, _ = ensure(tmp_path)
    home = runtime.bin.parent
    (home / ".complete").unlink()
    (home / "half-written").touch()
    ensure(tmp_path)
    assert not (home / "half-written").exists()
    assert (home / ".complete").exists()


def test_an_environment_whose_python_was_removed_is_made_again(tmp_path: Path, uv: FakeUv) -> None:
    runtime, _ = ensure(tmp_path)
    runtime.python.unlink()
    runtime.python.symlink_to(tmp_path / "gone")
    ensure(tmp_path)
    assert runtime.python.exists()


def test_a_failed_installation_leaves_nothing_behind(tmp_path: Path, uv: FakeUv) -> None:
    uv.fails = {"--require-hashes": (1, "error: Hash mismatch for `click==8.5.1`")}
    with pytest.raises(MachineError, match="Hash mismatch for `click"):
        ensure(tmp_path)
    assert [path.suffix for path in (tmp_path / "runtimes").iterdir()] == [".lock"]


def test_two_provider_sets_and_two_pythons_are_different_environments(tmp_path: Path, uv: FakeUv) -> None:
    homes = {
        ensure(tmp_path, python=python, providers=providers)[0].python
        for python in ("3.12", "3.13")
        for providers in ("slim", "full")
        if (python, providers) != (RUNNING, "slim")
    }
    assert len(homes) == (4 if RUNNING == "3.11" else 3)


@pytest.mark.parametrize("python", ["3.9", "3.14", "three"])
def test_an_unsupported_python_lists_the_supported_ones(tmp_path: Path, uv: FakeUv, python: str) -> None:
    with pytest.raises(InputError, match=r"it runs on 3\.11, 3\.12, 3\.13") as failure:
        ensure(tmp_path, python=python)
    assert "orrery.yaml" in str(failure.value.hint)


def test_a_python_that_is_not_installed_names_those_which_are(tmp_path: Path, uv: FakeUv) -> None:
    uv.fails = {"find": (2, "error: No interpreter found")}
    with pytest.raises(MachineError, match=r"found here: 3\.11\.2, 3\.9\.18\.") as failure:
        ensure(tmp_path)
    assert f"uv python install {OTHER}" in str(failure.value.hint)


def test_an_unknown_version_is_the_users_mistake(tmp_path: Path, uv: FakeUv) -> None:
    with pytest.raises(InputError):
        ensure(tmp_path, version="17.99.0")
    assert uv.commands == []


def test_a_version_of_a_line_that_nobody_builds_is_refused(tmp_path: Path, uv: FakeUv) -> None:
    known = catalogue.load()
    version = str(next(r.version for line in known.lines if not line.is_built for r in line.releases))
    with pytest.raises(InputError, match="cannot be installed"):
        ensure(tmp_path, version=version)


def test_another_version_that_the_index_lacks_says_which_one_is_here(
    tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "__version__", "17.0.1")
    why = "Because there is no version of orrery-runtime==17.0.0 we can conclude ..."
    uv.fails = {"orrery-runtime==17.0.0": (1, f"error: No solution found\n  cause: {why}")}
    with pytest.raises(InputError, match=r"this orrery brings 17\.0\.1") as failure:
        ensure(tmp_path, version="17.0.0")
    assert "no version of orrery-runtime==17.0.0" in failure.value.message
    assert "runtime: 17.0.1" in str(failure.value.hint)


def test_another_version_brings_its_own_lock(
    tmp_path: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a fake index that delivers a runtime with a lock of its own
    lock = "lib/python{}/site-packages/orrery/release/requirements/slim.txt"

    def run(argv: list[str | Path], **options: object) -> process.Completed:
        ended = uv.run(argv, **options)  # type: ignore[arg-type]
        if argv[-1] == "orrery-runtime==17.0.0":
            shipped = Path(str(argv[4])).parent.parent / lock.format(OTHER)
            shipped.parent.mkdir(parents=True)
            shipped.write_text("click==1.0\n")
        return ended

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(environment, "__version__", "17.0.1")
    # When it is made
    runtime, lines = ensure(tmp_path, version="17.0.0")
    # Then that lock is what was installed
    assert uv.commands[-1][-1] == str(runtime.lock("slim"))
    assert runtime.lock("slim").is_relative_to(runtime.site_packages)
    assert lines == [f"Installing 1 packages for runtime 17.0.0 (slim, Python {OTHER})"]


def test_no_answer_from_the_index_is_the_machines_trouble(tmp_path: Path, uv: FakeUv) -> None:
    uv.fails = {"--require-hashes": (2, "error: Request failed after 3 retries\n  cause: dns error")}
    with pytest.raises(MachineError, match="package index could not be used") as failure:
        ensure(tmp_path)
    assert "UV_DEFAULT_INDEX" in str(failure.value.hint)


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path, uv: FakeUv) -> None:
    (tmp_path / "runtimes").write_text("a file, not a folder")
    with pytest.raises(MachineError, match="Cannot write in") as failure:
        ensure(tmp_path)
    assert str(tmp_path / "runtimes") in failure.value.message
