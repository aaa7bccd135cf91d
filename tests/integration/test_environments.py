"""Real environments, made by uv from the slim lock, from tools that were installed alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from tests.wheels import write_wheel

from orrery import __version__
from orrery.errors import InputError, MachineError
from orrery.local.environment import RuntimeEnvironment
from orrery.local.installer import Installer
from orrery.local.overlay import ensure_overlay
from orrery.release.locks import lock_path, normalised, pins

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
#: Calls ensure_runtime in another interpreter: cache folder -> JSON of the path and of what was said.
ENSURE = f"""
import json, os, sys
from pathlib import Path
from orrery.local.environment import ensure_runtime
said = []
runtime = ensure_runtime("{__version__}", "{PYTHON}", "slim", cache_dir=Path(sys.argv[1]), env=os.environ,
                         report=said.append, echo=said.append)
print(json.dumps({{"python": str(runtime.python), "origin": runtime.origin, "said": said}}))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's environment: with byte code turned off, as in many containers."""
    home = str(tmp_path_factory.mktemp("airflow"))
    return {**os.environ, "AIRFLOW_HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The interpreter of an environment that has the tools alone, from the wheel that ships."""
    folder = tmp_path_factory.mktemp("tools")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    called(*build, cwd=SOURCE, env=environment)
    [built] = folder.glob("*.whl")
    uv = Installer.find(environment)
    python = folder / "venv" / "bin" / "python"
    install = ("pip", "install", "--python", python, "--no-deps")
    for arguments in (
        ("venv", "--no-project", "--python", PYTHON, folder / "venv"),
        (*install, "--require-hashes", "-r", lock_path("tools")),
        (*install, built),
    ):
        ended = uv.run(*arguments, cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return python


@pytest.fixture(scope="module")
def runtime(
    tools: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> tuple[Path, Path]:
    """The interpreter of a runtime that the tools made, and the cache folder that it stands in."""
    cache = tmp_path_factory.mktemp("cache")
    made = json.loads(called(tools, "-c", ENSURE, cache, env=environment))
    assert made["origin"] == "cached"
    return Path(made["python"]), cache


@pytest.fixture
def current() -> RuntimeEnvironment:
    """The environment that runs these tests, as a runtime."""
    return RuntimeEnvironment(
        python=Path(sys.executable),
        version=__version__,
        python_version=PYTHON,
        providers="slim",
        origin="current",
        site_packages=Path(sysconfig.get_path("purelib")),
    )


class Project:
    """A folder with requirements.txt, beside a folder of wheels that serves as its index."""

    def __init__(self, folder: Path, runtime: RuntimeEnvironment, environment: dict[str, str]) -> None:
        self.folder = folder
        self.runtime = runtime
        self.environment = environment
        self.commands: list[str] = []
        (folder / "wheels").mkdir()

    def offers(self, name: str, version: str, *needs: str) -> None:
        write_wheel(self.folder / "wheels", name, version, f"version = {version!r}\n", needs)

    def asks(
        self, *lines: str, index: str = "--no-index\n--find-links ./wheels\n", **environment: str
    ) -> Path:
        (self.folder / "requirements.txt").write_text(index + "\n".join(lines) + "\n")
        self.commands.clear()
        return ensure_overlay(
            self.runtime,
            self.folder / "requirements.txt",
            state_dir=self.folder / ".orrery",
            env={**self.environment, **environment},
            report=lambda _: None,
            echo=self.commands.append,
        )

    def says(self, python: Path, code: str) -> str:
        return called(python, "-c", code, env=self.environment).strip()


@pytest.fixture
def project(tmp_path: Path, current: RuntimeEnvironment, environment: dict[str, str]) -> Project:
    return Project(tmp_path, current, environment)


def called(*argv: str | Path, env: dict[str, str], cwd: Path | None = None) -> str:
    ended = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


# --- the runtime -------------------------------------------------------------------------------------


def test_the_tools_alone_have_no_airflow_but_their_command_works(
    tools: Path, environment: dict[str, str]
) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('airflow'))"
    assert called(tools, "-c", code, env=environment).strip() == "None"
    assert "orrery" in called(tools.with_name("orrery"), "--help", env=environment)


def test_the_help_of_orrery_imports_no_airflow_where_there_is_one(
    runtime: tuple[Path, Path], environment: dict[str, str]
) -> None:
    code = (
        "import importlib.util, sys; from orrery.cli.main import cli; "
        "cli.main(['--help'], standalone_mode=False); "
        "print(importlib.util.find_spec('airflow') is not None, 'airflow' in sys.modules)"
    )
    python, _ = runtime
    assert called(python, "-c", code, env=environment).splitlines()[-1] == "True False"


def test_the_tools_make_a_runtime_that_runs_airflow(
    runtime: tuple[Path, Path], environment: dict[str, str]
) -> None:
    python, _ = runtime
    version = called(python, "-m", "airflow", "version", env=environment).strip()
    assert version == pins(lock_path("slim"))["apache-airflow"]


def test_the_runtime_holds_the_code_of_the_tools_and_its_boot_file(
    runtime: tuple[Path, Path], tools: Path
) -> None:
    [made] = (runtime[0].parent.parent / "lib").glob("python*/site-packages")
    [own] = (tools.parent.parent / "lib").glob("python*/site-packages")
    assert (made / "orrery_boot.pth").read_bytes() == (own / "orrery_boot.pth").read_bytes()
    assert (made / "orrery" / "release" / "requirements" / "full.txt").is_file()
    sources = {file.relative_to(own): file.read_bytes() for file in (own / "orrery").rglob("*.py")}
    assert sources
    assert all((made / name).read_bytes() == content for name, content in sources.items())


def test_the_runtime_is_byte_compiled_although_the_user_turned_that_off(runtime: tuple[Path, Path]) -> None:
    [site] = (runtime[0].parent.parent / "lib").glob("python*/site-packages")
    for package in ("airflow", "orrery", "sqlalchemy"):
        sources = [file for file in (site / package).rglob("*.py") if "templates" not in file.parts]
        without = [
            file
            for file in sources
            if not (file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc").exists()
        ]
        assert sources
        assert without == []


def test_the_runtime_holds_each_pin_of_its_lock(runtime: tuple[Path, Path]) -> None:
    [site] = (runtime[0].parent.parent / "lib").glob("python*/site-packages")
    present = {
        normalised(folder.name.removesuffix(".dist-info").rpartition("-")[0])
        for folder in site.glob("*.dist-info")
    }
    elsewhere = {"colorama", "httpx2-jsfetch", "pyyaml-ft"}  # other systems and Pythons
    assert set(pins(lock_path("slim"))) - elsewhere <= present


def test_a_runtime_that_is_there_is_used_as_it_is(
    runtime: tuple[Path, Path], tools: Path, environment: dict[str, str]
) -> None:
    python, cache = runtime
    again = json.loads(called(tools, "-c", ENSURE, cache, env=environment))
    assert again == {"python": str(python), "origin": "cached", "said": []}


def test_a_runtime_that_was_killed_in_the_middle_is_made_again_by_two_at_once(
    tools: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    # Given a first try that is killed with -9 while packages are being installed
    command: list[str | Path] = [tools, "-c", ENSURE, tmp_path]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not next(tmp_path.glob("runtimes/*/lib/python*/site-packages/airflow*"), None):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=10)
    assert not list(tmp_path.glob("runtimes/*/.complete"))
    # When two try again at once
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(process.communicate(timeout=300)[0]) for process in both]
    # Then one made it, both got it, and Airflow runs
    assert results[0]["python"] == results[1]["python"]
    assert sum(any(line.startswith("Installing") for line in result["said"]) for result in results) == 1
    assert any(line.startswith("Waiting for another") for result in results for line in result["said"])
    assert called(results[0]["python"], "-m", "airflow", "version", env=environment).strip()


def test_a_runtime_that_does_not_exist_says_which_one_is_here(
    tools: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    # Given tools that believe to be a later version, so that 17.0.0 must come from an index
    code = (
        "import os, sys; from pathlib import Path; from orrery.local import environment\n"
        "environment.__version__ = '17.0.1'\n"
        f"environment.ensure_runtime('{__version__}', '{PYTHON}', 'slim', cache_dir=Path(sys.argv[1]), "
        "env={**os.environ, 'UV_DEFAULT_INDEX': sys.argv[2]}, report=print)\n"
    )
    (tmp_path / "empty-index").mkdir()
    ended = subprocess.run(
        [tools, "-c", code, tmp_path, tmp_path / "empty-index"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"InputError: Runtime {__version__} cannot be installed; this orrery brings 17.0.1" in ended.stderr
    assert not list(tmp_path.glob("runtimes/*/bin"))


# --- the overlay -------------------------------------------------------------------------------------


def test_the_overlay_adds_a_package_to_airflow_and_takes_it_away_again(project: Project) -> None:
    project.offers("weather", "1.0")
    project.offers("tides", "1.0")
    python = project.asks("weather", "tides")
    code = "import sys, subprocess, airflow, orrery, weather; print(airflow.__version__, weather.version)"
    assert project.says(python, code) == f"{pins(lock_path('slim'))['apache-airflow']} 1.0"
    # A child of a task sees the same packages
    child = (
        f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {code!r}], text=True))"
    )
    assert project.says(python, child) == project.says(python, code)
    # And what is no longer asked for goes
    project.asks("weather")
    assert project.says(python, "import importlib.util as u; print(u.find_spec('tides'))") == "None"
    project.asks("weather")
    assert project.commands == []


def test_the_airflow_command_of_the_overlay_runs_in_the_overlay(project: Project) -> None:
    project.offers("weather", "1.0")
    python = project.asks("weather")
    version = called(python.with_name("airflow"), "version", env=project.environment).strip()
    assert version == pins(lock_path("slim"))["apache-airflow"]


def test_a_new_requirement_does_not_move_the_others(project: Project) -> None:
    project.offers("weather", "1.0")
    python = project.asks("weather")
    project.offers("weather", "2.0")
    project.offers("tides", "1.0")
    project.asks("weather", "tides")
    assert project.says(python, "import tides, weather; print(weather.version)") == "1.0"


def test_what_the_runtime_has_is_not_installed_again(project: Project) -> None:
    project.offers("click", pins(lock_path("full"))["click"])
    python = project.asks("click")
    where = project.says(python, "import click; print(click.__file__)")
    assert Path(where).is_relative_to(project.runtime.site_packages)


def test_a_conflict_with_the_runtime_tells_the_reason_and_leaves_the_overlay(project: Project) -> None:
    project.offers("weather", "1.0")
    project.offers("weather", "2.0", "click<8")
    project.offers("click", pins(lock_path("full"))["click"])
    python = project.asks("weather==1.0")
    with pytest.raises(InputError, match="conflicts with runtime") as failure:
        project.asks("weather==2.0")
    assert "depends on click<8" in " ".join(failure.value.message.split())
    assert f"The runtime brings click {pins(lock_path('full'))['click']}" in failure.value.message
    assert project.says(python, "import weather; print(weather.version)") == "1.0"


def test_a_half_written_overlay_is_repaired(project: Project) -> None:
    project.offers("weather", "1.0")
    python = project.asks("weather")
    [module] = python.parent.parent.rglob("weather.py")
    module.unlink()
    (python.parent.parent / "made-from.json").unlink()
    project.asks("weather")
    assert project.says(python, "import weather; print(weather.version)") == "1.0"


def test_a_provider_outside_the_slim_set_comes_at_its_tested_version_and_airflow_finds_all(
    project: Project,
) -> None:
    python = project.asks("apache-airflow-providers-redis", "orrery-runtime", index="")
    code = (
        "import collections, importlib.metadata as m, json\n"
        "from airflow.providers_manager import ProvidersManager\n"
        "names = collections.Counter(d.metadata['Name'].lower() for d in m.distributions())\n"
        "found = {n: i.version for n, i in ProvidersManager().providers.items()}\n"
        "print(json.dumps([found, [n for n, count in names.items() if count > 1]]))"
    )
    found, twice = json.loads(project.says(python, code).splitlines()[-1])
    full = pins(lock_path("full"))
    assert found["apache-airflow-providers-redis"] == full["apache-airflow-providers-redis"]
    assert found["apache-airflow-providers-http"] == full["apache-airflow-providers-http"]
    assert found["orrery-runtime"] == __version__
    assert twice == []


def test_packages_in_the_project_are_found_relative_to_it(project: Project) -> None:
    for name in ("copied", "edited"):
        folder = project.folder / name
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("version = 1\n")
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "1.0"\n'
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        )
    (project.folder / "more.txt").write_text("./copied\n")
    lines = ("-r more.txt", "-e ./edited")
    python = project.asks(*lines, index="")
    code = "import copied, edited; print(copied.version, edited.version)"
    assert project.says(python, code) == "1 1"
    # A new version of either is there after the next call
    for name in ("copied", "edited"):
        (project.folder / name / name / "__init__.py").write_text("version = 22\n")
    project.asks(*lines, index="")
    assert project.says(python, code) == "22 22"


def test_an_index_that_does_not_answer_is_named_by_its_setting(project: Project) -> None:
    with pytest.raises(MachineError, match="UV_DEFAULT_INDEX") as failure:
        project.asks("weather", index="", UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_HTTP_RETRIES="0")
    assert "Connection refused" in failure.value.message
