"""The overlay: what a project's requirements.txt adds to the runtime, in an environment of its own.

The overlay sees all of the runtime through a .pth and holds only what the runtime lacks. The
runtime's full lock constrains what is resolved, so nothing that was tested together is replaced.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import InputError
from orrery.local import process, wheel
from orrery.local.exclusive import held
from orrery.local.inputs import Inputs, Place, asks_for_nothing
from orrery.local.installer import Installer, reason
from orrery.release.locks import normalised, pins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orrery.local.environment import RuntimeEnvironment

    Uv = Callable[..., process.Completed]

#: An index that is a folder, written relative to the project.
_LOCATION = re.compile(r"(?P<option>--find-links|--index-url|--extra-index-url) (?!/|[\w+.-]+:)(?P<path>.+)")
_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)")


def ensure_overlay(
    runtime: RuntimeEnvironment,
    requirements_file: Path,
    *,
    state_dir: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
    echo: Callable[[str], None] | None = None,
) -> Path:
    """Return the interpreter that sees the runtime and the project's requirements.

    It is the runtime's own when nothing is asked for. Otherwise it stands in `state_dir`/venv, where only
    what changed is installed or removed. Paths in the file are relative to its folder. Safe to call
    twice at once, and after having been killed.

    Raises:
        InputError: the requirements conflict with the runtime or with one another (then nothing was
            changed), or one of them cannot be built.
        MachineError: the index does not answer, the disk is full, a folder cannot be written.
    """
    overlay = _Overlay(
        home=state_dir.absolute() / "venv", runtime=runtime, requirements=requirements_file.absolute()
    )
    if asks_for_nothing(overlay.requirements):
        shutil.rmtree(overlay.home, ignore_errors=True)
        return runtime.python
    if overlay.is_current():
        return overlay.python

    def waiting() -> None:
        report("Waiting for another orrery that is installing this project's requirements")

    with held(overlay.home.with_name("venv.lock"), waiting=waiting) as lock:
        if not overlay.is_current():
            installer = Installer.find(env, echo)

            def uv(*arguments: str | Path) -> process.Completed:
                # In the project's folder: relative requirements are relative to it.
                return installer.run(*arguments, cwd=overlay.requirements.parent, keep_open=(lock,))

            overlay.make(uv, report)
    return overlay.python


@dataclass(frozen=True, kw_only=True, slots=True)
class _Overlay:
    home: Path
    runtime: RuntimeEnvironment
    requirements: Path

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"

    @property
    def made_from(self) -> Path:
        """Written last: without it, the overlay was never finished."""
        return self.home / "made-from.json"

    def is_current(self) -> bool:
        made_from = Inputs.read(self.made_from)
        if made_from is None or not self.python.exists():
            return False
        return made_from == self.inputs(made_from.known_places)

    def inputs(self, places: Iterable[Place]) -> Inputs:
        lock = hashlib.sha256(self.runtime.lock("full").read_bytes()).hexdigest()
        which = self.runtime
        runtime = f"{which.version} {which.providers} {which.python_version} {which.python} {lock[:16]}"
        return Inputs.now(runtime, self.requirements, places)

    def make(self, uv: Uv, report: Callable[[str], None]) -> None:
        """Resolve first: a conflict must leave what is there as it is."""
        report(f"Resolving {self.requirements.name} within runtime {self.runtime.version}")
        # Read before it is resolved: an edit in between is then noticed the next time.
        inputs = self.inputs(())
        lacking = _lacking(self.resolve(uv), self.runtime)
        inputs = inputs.with_places(
            (place for line in lacking if (place := Place.of(line))), self.requirements.parent
        )
        before = Inputs.read(self.made_from)
        if before is None or before.runtime != inputs.runtime or not self.python.exists():
            shutil.rmtree(self.home, ignore_errors=True)
            self.check(uv("venv", "--no-project", "--python", self.runtime.python, self.home))
        self.made_from.unlink(missing_ok=True)
        self.join()
        listing = self.home / "requirements.txt"
        _write_private(listing, lacking)
        count = sum(not line.startswith("--") for line in lacking)
        report(f"Packages that the project adds to the runtime: {count}; installing what changed")
        # The source of a package that is copied in may have changed without its version.
        again = ("--reinstall",) if inputs.places else ()
        options = ("--compile-bytecode", "--allow-empty-requirements", *again)
        self.check(uv("pip", "sync", "--python", self.python, *options, listing))
        inputs.write(self.made_from)

    def resolve(self, uv: Uv) -> list[str]:
        # The last resolution is what uv prefers: one new line does not move the other packages.
        last = self.home.with_name("requirements.resolved.txt")
        with tempfile.TemporaryDirectory(prefix="orrery-") as folder:
            resolution, present = Path(folder) / "resolved.txt", Path(folder) / "present.txt"
            if last.is_file():
                shutil.copyfile(last, resolution)
            # A project may depend on orrery-runtime: it gets the one which is there.
            own = _orrery(self.runtime)
            wheel.repack(own, Path(folder))
            present.write_text(f"{own.name}=={own.version}\n", encoding="utf-8")
            ended = uv(
                *("pip", "compile", "--quiet", "--python", self.runtime.python, "--find-links", folder),
                *("--constraint", self.runtime.lock("full"), "--constraint", present),
                *("--no-header", "--no-annotate", "--strip-extras"),
                # Indexes and options that the file names hold for the installation, too.
                *("--emit-index-url", "--emit-find-links", "--emit-build-options"),
                *("--output-file", resolution, self.requirements),
            )
            if ended.returncode:
                raise _conflict(reason(ended.stderr), self.runtime, self.requirements)
            lines = resolution.read_text(encoding="utf-8").splitlines()
        resolved = [self.located(line) for line in lines if line.strip() and folder not in line]
        _write_private(last, resolved)
        return resolved

    def located(self, line: str) -> str:
        # uv takes an index's relative path from the file that names it; packages' from the project.
        match = _LOCATION.fullmatch(line)
        return f"{match['option']} {self.requirements.parent / match['path']}" if match else line

    def join(self) -> None:
        """Let the overlay see the runtime."""
        [site_packages] = (self.home / "lib").glob("python*/site-packages")
        # addsitedir also reads the .pth files there: orrery's boot, and editable installs.
        pth = f"import site; site.addsitedir({str(self.runtime.site_packages)!r})\n"
        (site_packages / "_orrery_runtime.pth").write_text(pth, encoding="utf-8")
        # The runtime's own script would run without the overlay: this one stands before it on PATH.
        script = self.home / "bin" / "airflow"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(self.python))} -m airflow "$@"\n')
        script.chmod(0o755)

    def check(self, ended: process.Completed) -> None:
        if ended.returncode:
            raise InputError(
                f"{self.requirements.name} could not be installed.\n{reason(ended.stderr)}",
                hint=f"Correct {self.requirements}; a package that must be built may need a compiler.",
            )


def _lacking(resolved: list[str], runtime: RuntimeEnvironment) -> list[str]:
    present = _versions(runtime.site_packages)
    return [
        line
        for line in resolved
        if not ((pin := _PIN.match(line)) and present.get(normalised(pin["name"])) == pin["version"])
    ]


def _versions(site_packages: Path) -> dict[str, str]:
    # From the folders' names: reading the metadata of 200 packages takes much longer.
    named = (folder.name.removesuffix(".dist-info") for folder in site_packages.glob("*.dist-info"))
    return {normalised(name): version for name, _, version in (stem.rpartition("-") for stem in named)}


def _conflict(why: str, runtime: RuntimeEnvironment, requirements: Path) -> InputError:
    held_by_runtime = [
        f"{name} {version}"
        for name, version in pins(runtime.lock("full")).items()
        if re.search(rf"(?<![\w.-]){re.escape(name)}=={re.escape(version)}(?![\w.]*\w)", why)
    ]
    if not held_by_runtime:
        return InputError(f"{requirements.name} cannot be resolved.\n{why}", hint=f"Correct {requirements}.")
    return InputError(
        f"{requirements.name} conflicts with runtime {runtime.version}.\n{why}\n"
        f"The runtime brings {', '.join(held_by_runtime)}, tested together with Airflow.",
        hint=f"Allow the runtime's version in {requirements}, or leave that package's version out.",
    )


def _orrery(runtime: RuntimeEnvironment) -> importlib.metadata.Distribution:
    path = [str(runtime.site_packages)]
    return next(iter(importlib.metadata.distributions(name="orrery-runtime", path=path)))


def _write_private(file: Path, lines: list[str]) -> None:
    # It may name an index with its password.
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
