"""The steps of a project's image build, run by ONBUILD inside it: Debian packages, Python packages, a look.

What stands in a project's files is data: it is checked and becomes arguments, it never reaches a shell.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orrery import __version__
from orrery.errors import InputError, MachineError, OrreryError
from orrery.image.seal import CONSTRAINTS
from orrery.local import process
from orrery.local.installer import reason
from orrery.project.requirements import check_requirements
from orrery.project.text import read_packages, read_text
from orrery.release import catalogue
from orrery.release.locks import pins

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = Path("/run/orrery-project")
HOME = Path("/usr/local/airflow")
_CA = Path("/run/secrets/ca")
_INDEX = Path("/run/secrets/index")
_NETRC = Path("/run/secrets/netrc")
_UNKNOWN_PACKAGE = re.compile(
    r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate"
)
_CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]*@")
#: In uv's words: an index that wants a login, and got none or a wrong one.
_REFUSED_LOGIN = re.compile(r"\b(?:401 Unauthorized|403 Forbidden)\b")
#: What an index secret may set; anything else in the file is a mistake.
_INDEX_NAMES = frozenset(
    {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
)


def main() -> int:
    """Do the step that the first argument names; return an exit code."""
    steps = {"packages": packages, "requirements": requirements, "project": project}
    try:
        steps[sys.argv[1]](os.environ)
    except OrreryError as error:
        _say(f"Error: {error.message}")
        if error.hint:
            _say(f"Next: {error.hint}")
        return error.exit_code
    return 0


def packages(environment: Mapping[str, str]) -> None:
    """Install what packages.txt names, without recommends.

    Raises:
        InputError: a line is no package's name, or Debian has no such package.
        MachineError: Debian's packages cannot be had.
    """
    wanted = read_packages(FILES / "packages.txt")
    if not wanted:
        return
    environment = {**environment, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    _apt("update", env=environment)
    try:
        _apt("install", "-y", "--no-install-recommends", "--", *wanted, env=environment)
    finally:
        _tidy()
    _say(f"Debian packages installed: {', '.join(wanted)}")


def _tidy() -> None:
    """Leave apt's folders as a fresh Debian has them: empty."""
    for folder in ("/var/lib/apt/lists", "/var/cache/apt", "/var/log/apt"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in ("/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial"):
        Path(folder).mkdir(parents=True, exist_ok=True)


def _apt(*arguments: str, env: Mapping[str, str]) -> None:
    certificates = (f"-oAcquire::https::CaInfo={_CA}",) if _has(_CA) else ()
    ended = process.run(["apt-get", "-qq", *certificates, *arguments], env=env)
    if ended.returncode == 0:
        return
    unknown = sorted({name for found in _UNKNOWN_PACKAGE.findall(ended.stderr) for name in found if name})
    if unknown:
        raise InputError(
            f"packages.txt: Debian has no package {', '.join(repr(name) for name in unknown)}.",
            hint="Look the name up (apt-cache search WORD), then correct packages.txt.",
        )
    raise MachineError(
        f"apt-get {arguments[0]} failed.\n{reason(ended.stderr)}",
        hint="Check the network, the proxy and the disk, then build again.",
    )


def requirements(environment: Mapping[str, str]) -> None:
    """Install what requirements.txt asks for under the runtime's own versions.

    Raises:
        InputError: it pins Airflow, holds a password, conflicts with the runtime, or cannot be installed.
    """
    file = FILES / "requirements.txt"
    runtime = catalogue.load().release(__version__)
    asked = check_requirements(file, runtime=__version__, airflow=runtime.airflow or "its own")
    for line in asked.lines:
        if _CREDENTIALS.search(line.text):
            raise InputError(
                f"requirements.txt line {line.number} holds a password, which would stay in the image.",
                hint="Take it out, and give it for the build only: orrery image build --netrc FILE, "
                "or --index-file FILE with UV_DEFAULT_INDEX=https://user:password@host/simple",
            )
    if asked.is_empty:
        return
    given = {
        **environment,
        **index_settings(_INDEX),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "UV_LINK_MODE": "copy",
    }
    if _has(_CA):
        given["SSL_CERT_FILE"] = str(_CA)
    if _has(_NETRC):
        given["NETRC"] = str(_NETRC)
    ended = process.run(
        [
            *("uv", "pip", "install", "--python", sys.executable, "--compile-bytecode"),
            *("--constraint", CONSTRAINTS, "--requirement", file),
        ],
        env=given,
        cwd=FILES,
    )
    if ended.returncode:
        raise refused(reason(ended.stderr), pins(CONSTRAINTS))
    _say(f"Python packages installed from requirements.txt: {len(asked.lines)}")


def index_settings(file: Path) -> dict[str, str]:
    """Return the settings of uv in a secret: lines NAME=value. Raises InputError for other names."""
    settings: dict[str, str] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1) if _has(file) else ():
        name, separator, value = line.strip().partition("=")
        if not line.strip() or name.startswith("#"):
            continue
        if not separator or name not in _INDEX_NAMES:
            raise InputError(
                f"The index secret's line {number} sets none of {', '.join(sorted(_INDEX_NAMES))}.",
                hint="Write, for instance, UV_DEFAULT_INDEX=https://user:password@host/simple",
            )
        settings[name] = value.strip("'\"")
    return settings


def refused(why: str, held: Mapping[str, str]) -> InputError:
    """Return the error for uv's refusal; it names what the runtime holds among what conflicts."""
    if _REFUSED_LOGIN.search(why):
        return InputError(
            f"requirements.txt cannot be installed: an index refused the login, or was given none.\n{why}",
            hint="Give it for the build only: orrery image build --netrc FILE, with a line "
            "'machine HOST login USER password PASSWORD'.",
        )
    names = [
        f"{name} {version}"
        for name, version in held.items()
        if re.search(rf"(?<![\w.-]){re.escape(name)}=={re.escape(version)}(?![\w.]*\w)", why)
    ]
    if names:
        return InputError(
            f"requirements.txt conflicts with runtime {__version__}.\n{why}\n"
            f"The runtime brings {', '.join(names)}, tested together with Airflow.",
            hint="Allow the runtime's version in requirements.txt, or leave that package's version out.",
        )
    return InputError(
        f"requirements.txt cannot be installed.\n{why}",
        hint="Correct requirements.txt; a package that must be built needs a compiler in packages.txt "
        "(build-essential, python3-dev).",
    )


def project(_environment: Mapping[str, str]) -> None:
    """Look at what was copied, and take away what only the build needed."""
    shutil.rmtree(FILES, ignore_errors=True)
    if not any((HOME / "dags").glob("**/*.py")):
        _say(
            "Warning: the project has no DAG in dags/. Is the build's folder the project's, and does its "
            ".dockerignore let dags/ through?"
        )
    for name in (".env", ".netrc", "airflow_settings.yaml"):
        if (HOME / name).exists():
            _say(
                f"Warning: {name} is in the image, with whatever secrets it holds. Name it in .dockerignore."
            )


def _has(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _say(text: str) -> None:
    # Each line is marked, so that the build's caller finds them in the engine's output.
    sys.stderr.write("".join(f"orrery: {line}\n" for line in text.splitlines()))


if __name__ == "__main__":
    sys.exit(main())
