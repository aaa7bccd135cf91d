"""What a project's requirements become. uv is replaced where its process would start."""

from __future__ import annotations

import itertools
import json
import sys
import sysconfig
from pathlib import Path

import pytest

from orrery import __version__
from orrery.errors import InputError
from orrery.local import process
from orrery.local.environment import RuntimeEnvironment
from orrery.local.overlay import ensure_overlay
from orrery.release.locks import lock_path, pins

RUNTIME = RuntimeEnvironment(
    python=Path(sys.executable),
    version=__version__,
    python_version="3.11",
    providers="slim",
    origin="current",
    site_packages=Path(sysconfig.get_path("purelib")),
)
CLICK = pins(lock_path("full"))["click"]


class FakeUv:
    """Resolves to `resolution`, remembers what is to be installed, and fails on demand."""

    def __init__(self) -> None:
        self.resolution = ""
        self.fails: dict[str, str] = {}
        self.commands: list[list[str]] = []
        self.installed: list[str] = []
        self.constraints = ""

    def run(self, argv: list[str | Path], **_: object) -> process.Completed:
        command = [str(part) for part in argv][1:]
        self.commands.append(command)
        verb = command[0] if command[0] == "venv" else command[1]
        if verb in self.fails:
            return process.Completed(returncode=1, stdout="", stderr=self.fails[verb])
        if verb == "venv":
            home = Path(command[-1])
            (home / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
            (home / "bin").mkdir()
            (home / "bin" / "python").touch()
        elif verb == "compile":
            named = [after for option, after in itertools.pairwise(command) if option == "--constraint"]
            self.constraints = "".join(Path(path).read_text() for path in named)
            links = f"--find-links {command[command.index('--find-links') + 1]}\n"
            Path(command[command.index("--output-file") + 1]).write_text(links + self.resolution)
        else:
            self.installed = Path(command[-1]).read_text().split("\n")[:-1]
        return process.Completed(returncode=0, stdout="", stderr="")


class Project:
    """A folder with requirements.txt, and what `ensure_overlay` says about it."""

    def __init__(self, folder: Path, uv: FakeUv) -> None:
        self.folder = folder
        self.uv = uv
        self.file = folder / "requirements.txt"
        self.state = folder / ".orrery"
        self.lines: list[str] = []

    def asks(self, text: str, *, resolved: str = "") -> Path:
        self.file.write_text(text)
        self.uv.resolution = resolved or text
        return self.overlay()

    def overlay(self, runtime: RuntimeEnvironment = RUNTIME) -> Path:
        self.uv.commands.clear()
        return ensure_overlay(
            runtime, self.file, state_dir=self.state, env={"PATH": "/bin"}, report=self.lines.append
        )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    uv = FakeUv()
    monkeypatch.setattr(process, "run", uv.run)
    return Project(tmp_path, uv)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n  # really\n"])
def test_a_project_that_asks_for_nothing_runs_on_the_runtime_itself(project: Project, text: str) -> None:
    assert project.asks(text) == RUNTIME.python
    assert project.uv.commands == []


def test_a_project_without_the_file_runs_on_the_runtime_itself(project: Project) -> None:
    assert project.overlay() == RUNTIME.python


def test_an_overlay_goes_when_the_last_requirement_goes(project: Project) -> None:
    overlay = project.asks("demo==1.0\n")
    assert project.asks("# none\n") == RUNTIME.python
    assert not overlay.exists()


def test_only_what_the_runtime_lacks_is_installed(project: Project) -> None:
    project.asks("demo\nclick\n", resolved=f"demo==1.0\nclick=={CLICK}\n")
    assert project.uv.installed == ["demo==1.0"]


def test_what_the_runtime_has_at_another_version_is_installed_over_it(project: Project) -> None:
    # As in this repository's own environment, which holds more than the lock pins.
    project.asks("pytest\n", resolved="pytest==1.0\n")
    assert project.uv.installed == ["pytest==1.0"]


def test_the_lock_of_the_full_set_and_this_orrery_constrain_the_resolution(project: Project) -> None:
    project.asks("demo==1.0\n")
    assert "\napache-airflow-providers-amazon==" in project.uv.constraints
    assert f"orrery-runtime=={__version__}\n" in project.uv.constraints


def test_options_of_the_file_hold_for_the_installation_but_our_own_do_not(project: Project) -> None:
    index = "--extra-index-url http://user:secret@127.0.0.1/simple"
    project.asks(f"{index}\ndemo\n", resolved=f"{index}\ndemo==1.0\n")
    assert project.uv.installed == [index, "demo==1.0"]


def test_files_that_may_hold_a_password_are_private(project: Project) -> None:
    project.asks("--index-url http://user:secret@127.0.0.1/simple\ndemo==1.0\n")
    holding = [f for f in project.state.rglob("*") if f.is_file() and "secret" in f.read_text()]
    assert holding
    assert all(file.stat().st_mode & 0o077 == 0 for file in holding)


def test_the_overlay_sees_the_runtime_and_its_own_airflow_command(project: Project) -> None:
    python = project.asks("demo==1.0\n")
    [pth] = python.parent.parent.rglob("*.pth")
    assert f"site.addsitedir({str(RUNTIME.site_packages)!r})" in pth.read_text()
    script = python.with_name("airflow")
    assert script.stat().st_mode & 0o111
    assert f"{python} -m airflow" in script.read_text()


def test_unchanged_requirements_cost_no_command(project: Project) -> None:
    python = project.asks("demo==1.0\n")
    project.lines.clear()
    assert project.overlay() == python
    assert (project.uv.commands, project.lines) == ([], [])


def test_changed_requirements_keep_the_environment_and_synchronise_it(project: Project) -> None:
    project.asks("demo==1.0\nother==2.0\n")
    project.asks("demo==1.0\n")
    assert [command[:2] for command in project.uv.commands] == [["pip", "compile"], ["pip", "sync"]]
    assert project.uv.installed == ["demo==1.0"]


def test_a_change_in_an_included_file_is_noticed(project: Project) -> None:
    (project.folder / "more.txt").write_text("demo==1.0\n")
    project.asks("-r more.txt\n", resolved="demo==1.0\n")
    (project.folder / "more.txt").write_text("demo==2.0\n")
    project.overlay()
    assert project.uv.commands


def test_another_runtime_makes_the_overlay_anew(project: Project) -> None:
    python = project.asks("demo==1.0\n")
    stale = python.with_name("stale")
    stale.touch()
    project.overlay(
        RuntimeEnvironment(
            python=RUNTIME.python,
            version=__version__,
            python_version="3.11",
            providers="full",
            origin="cached",
            site_packages=RUNTIME.site_packages,
        )
    )
    assert not stale.exists()


def test_an_overlay_that_was_never_finished_is_made_anew(project: Project) -> None:
    python = project.asks("demo==1.0\n")
    half = python.with_name("half-written")
    half.touch()
    project.uv.fails = {"sync": "error: killed"}
    with pytest.raises(InputError, match="could not be installed"):
        project.asks("demo==2.0\n")
    project.uv.fails = {}
    project.overlay()
    assert not half.exists()
    assert project.uv.installed == ["demo==2.0"]


def test_a_damaged_note_of_what_was_installed_is_no_obstacle(project: Project) -> None:
    python = project.asks("demo==1.0\n")
    [note] = python.parent.parent.glob("*.json")
    note.write_text(json.dumps({"something": "else"}))
    assert project.overlay() == python
    assert project.uv.commands


def test_a_conflict_names_what_the_runtime_brings_and_changes_nothing(project: Project) -> None:
    project.asks("demo==1.0\n")
    why = f"Because you require click<8 and click=={CLICK}, we can conclude that ... unsatisfiable."
    project.uv.fails = {"compile": f"error: No solution found\n  cause: {why}"}
    with pytest.raises(InputError, match="conflicts with runtime") as failure:
        project.asks("click<8\n")
    assert why in failure.value.message
    assert f"The runtime brings click {CLICK}, tested" in failure.value.message
    assert "requirements.txt" in str(failure.value.hint)
    # And what was there before still works
    project.uv.fails = {}
    project.asks("demo==1.0\n")
    assert project.uv.commands == []


def test_requirements_that_contradict_one_another_do_not_blame_the_runtime(project: Project) -> None:
    project.uv.fails = {"compile": "error: No solution found\n  cause: there is no version of demo==9"}
    with pytest.raises(InputError, match="cannot be resolved") as failure:
        project.asks("demo==9\n")
    assert "The runtime brings" not in failure.value.message


def test_a_package_of_the_project_that_is_copied_in_is_installed_again_when_it_changed(
    project: Project,
) -> None:
    source = project.folder / "pkg" / "demo"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("x = 1\n")
    project.asks("./pkg\n")
    project.overlay()
    assert project.uv.commands == []
    (source / "__init__.py").write_text("x = 22\n")
    project.overlay()
    assert "--reinstall" in project.uv.commands[-1]


def test_the_source_of_an_editable_package_may_change_without_an_installation(project: Project) -> None:
    source = project.folder / "pkg"
    source.mkdir()
    (source / "pyproject.toml").write_text("[project]\n")
    project.asks("-e ./pkg\n")
    (source / "demo.py").write_text("x = 1\n")
    project.overlay()
    assert project.uv.commands == []
    (source / "pyproject.toml").write_text("[project]\nname = 'demo'\n")
    project.overlay()
    assert project.uv.commands
