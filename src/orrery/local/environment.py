"""The runtime's Python environment: Airflow, its providers and orrery, exactly as a release locks them.

Where the tools themselves run in such an environment, it is used. Otherwise one is made with uv and
kept in the cache, shared by all projects; runtimes of several versions stand there side by side.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orrery import __version__
from orrery.errors import InputError, MachineError
from orrery.local import process, wheel
from orrery.local.exclusive import held
from orrery.local.installer import Installer, reason
from orrery.release import catalogue
from orrery.release.locks import lock_path, pins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ProviderSet = Literal["slim", "full"]

_DISTRIBUTION = "orrery-runtime"
#: Written last: an environment without it was never finished.
_COMPLETE = ".complete"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeEnvironment:
    """One environment that holds a runtime."""

    python: Path
    """The interpreter. In a virtual environment a link: never resolve it."""
    version: str
    """Of the runtime: 17.0.0."""
    python_version: str
    """Major and minor: 3.11."""
    providers: ProviderSet
    origin: Literal["current", "cached"]
    """`current`: the environment that runs the tools. `cached`: one that was made for projects."""
    site_packages: Path

    @property
    def bin(self) -> Path:
        """Return the folder of its programs, `airflow` among them."""
        return self.python.parent

    def lock(self, name: ProviderSet) -> Path:
        """Return the path of one of its requirement locks."""
        if self.version == __version__:
            return lock_path(name)
        return _shipped_lock(self.site_packages, name)


def ensure_runtime(
    version: str,
    python: str,
    providers: ProviderSet,
    *,
    cache_dir: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
    echo: Callable[[str], None] | None = None,
) -> RuntimeEnvironment:
    """Return the environment of runtime `version` on `python` (3.11), made when there is none.

    Safe to call twice at once, and after having been killed: an unfinished environment is made again.
    `report` gets a line before each long step, `echo` each command.

    Raises:
        InputError: there is no such runtime, or it does not run on that Python.
        MachineError: that Python is not installed, the index does not answer, the disk is full.
    """
    version = _checked(version, python)
    if found := _current(version, python, providers):
        return found
    home = cache_dir / "runtimes" / f"{version}-{providers}-py{python}-{_digest(version, providers)}"
    runtime = RuntimeEnvironment(
        python=home / "bin" / "python",
        version=version,
        python_version=python,
        providers=providers,
        origin="cached",
        site_packages=home / "lib" / f"python{python}" / "site-packages",
    )
    if _is_complete(runtime, home):
        return runtime

    def waiting() -> None:
        report(f"Waiting for another orrery that is making runtime {version} ({providers}, Python {python})")

    with held(home.with_name(f"{home.name}.lock"), waiting=waiting) as lock:
        if not _is_complete(runtime, home):
            _make(runtime, home, Installer.find(env, echo), lock, report)
    return runtime


def _checked(version: str, python: str) -> str:
    known = catalogue.load()
    release = known.release(version)
    line = known.line(release.version.major)
    if not line.is_built:
        raise InputError(
            f"Runtime {release.version} cannot be installed: line {line.number} is {line.status}.",
            hint=f"Write `runtime: {known.newest.version}` in orrery.yaml, or leave that line out.",
        )
    supported = line.python_supported or ()
    if python not in supported:
        raise InputError(
            f"Runtime {release.version} does not run on Python {python}; it runs on {', '.join(supported)}.",
            hint=f'Write `python: "{line.python_default}"` in orrery.yaml, or leave that line out.',
        )
    return str(release.version)


def _current(version: str, python: str, providers: ProviderSet) -> RuntimeEnvironment | None:
    if version != __version__ or python != _running_python():
        return None
    wanted = {
        name: pin for name, pin in pins(lock_path(providers)).items() if name.startswith("apache-airflow")
    }
    wanted[_DISTRIBUTION] = version
    try:
        if any(importlib.metadata.version(name) != pin for name, pin in wanted.items()):
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    return RuntimeEnvironment(
        python=Path(sys.executable),
        version=version,
        python_version=python,
        providers=providers,
        origin="current",
        site_packages=Path(sysconfig.get_path("purelib")),
    )


def _make(
    runtime: RuntimeEnvironment,
    home: Path,
    installer: Installer,
    lock: int,
    report: Callable[[str], None],
) -> None:
    shutil.rmtree(home, ignore_errors=True)

    def uv(*arguments: str | Path) -> process.Completed:
        return installer.run(*arguments, cwd=home.parent, keep_open=(lock,))

    install = ("pip", "install", "--python", runtime.python, "--compile-bytecode", "--no-deps")
    base = _base_python(runtime, installer, home.parent)
    try:
        _check(uv("venv", "--no-project", "--no-python-downloads", "--python", base, home), runtime)
        if runtime.version == __version__:
            with tempfile.TemporaryDirectory(prefix="orrery-") as folder:
                _check(uv(*install, wheel.repack(_own_distribution(), Path(folder))), runtime)
        else:
            # Another version brings its own code and, inside, its own locks.
            _check_found(uv(*install, f"{_DISTRIBUTION}=={runtime.version}"), runtime)
        requirements = runtime.lock(runtime.providers)
        report(
            f"Installing {len(pins(requirements))} packages for runtime {runtime.version} "
            f"({runtime.providers}, Python {runtime.python_version})"
        )
        _check(uv(*install, "--require-hashes", "-r", requirements), runtime)
        (home / _COMPLETE).touch()
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def _check(ended: process.Completed, runtime: RuntimeEnvironment) -> None:
    if ended.returncode:
        raise MachineError(
            f"Could not make the environment of runtime {runtime.version}.\n{reason(ended.stderr)}",
            hint="Repeat the command; if it fails again, run 'orrery doctor'.",
        )


def _check_found(ended: process.Completed, runtime: RuntimeEnvironment) -> None:
    if ended.returncode:
        raise InputError(
            f"Runtime {runtime.version} cannot be installed; this orrery brings {__version__}.\n"
            f"{reason(ended.stderr)}",
            hint=f"Write `runtime: {__version__}` in orrery.yaml, or leave that line out.",
        )


def _base_python(runtime: RuntimeEnvironment, installer: Installer, folder: Path) -> Path:
    if runtime.python_version == _running_python():
        return Path(sys.executable)
    if found := installer.find_python(runtime.python_version, cwd=folder):
        return found
    there = installer.pythons(cwd=folder)
    asked = runtime.python_version
    raise MachineError(
        f"Python {asked} is not installed; found here: {', '.join(there) or 'none'}.",
        hint=f"Install it with 'apt install python{asked}' where your system has it, or with "
        f"'uv python install {asked}'; or change `python:` in orrery.yaml.",
    )


def _digest(version: str, providers: ProviderSet) -> str:
    # Another version's code and lock never change once released; our own may, while it is developed.
    if version != __version__:
        return "released"
    digest = hashlib.sha256(lock_path(providers).read_bytes())
    digest.update(wheel.build_digest(_own_distribution()).encode())
    return digest.hexdigest()[:10]


def _own_distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise MachineError(
            f"The package {_DISTRIBUTION} is not installed in {sys.prefix}, only on the import path.",
            hint=f"Install it: python -m pip install {_DISTRIBUTION}; in the source repository: make setup.",
        ) from error


def _shipped_lock(site_packages: Path, name: ProviderSet) -> Path:
    path = site_packages / "orrery" / "release" / "requirements" / f"{name}.txt"
    if not path.is_file():
        raise MachineError(
            f"The installed runtime lacks its lock ({path}).",
            hint="Choose another version with `runtime:` in orrery.yaml; see 'orrery release list'.",
        )
    return path


def _is_complete(runtime: RuntimeEnvironment, home: Path) -> bool:
    # The interpreter is a link: it leads nowhere when that Python was removed from the machine.
    return (home / _COMPLETE).exists() and runtime.python.exists()


def _running_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
