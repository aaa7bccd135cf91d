"""The last step of the runtime's image: byte-code, constraints, what is in it, and a name for it.

Runs inside the image, once. Writes `/etc/orrery-release` (JSON), `/etc/orrery/constraints.txt` and the bills
of materials in `/usr/share/orrery`.
"""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

import orrery
from orrery.config import airflow_file
from orrery.image import bill
from orrery.release import catalogue
from orrery.release.locks import lock_path, normalised, pins

RELEASE = Path("/etc/orrery-release")
CONSTRAINTS = Path("/etc/orrery/constraints.txt")
#: What an installer writes of the file that it was given, and when.
_OF_THE_BUILD = ("direct_url.json", "uv_cache.json")
BILLS = Path("/usr/share/orrery")
_DPKG = Path("/var/lib/dpkg/status")


def main() -> int:
    """Seal the image with the facts in the file that the first argument names."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    facts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = bill.python_components(metadata.distributions())
    debian = bill.debian_components(_DPKG.read_text(encoding="utf-8"))
    _forget_where_it_came_from()
    versions = {component.name: component.version for component in found}
    if "apache-airflow" not in versions:
        # Their folder has the Python's version in its name.
        sys.stderr.write(
            f"orrery: Error: Python {sys.version_info.major}.{sys.version_info.minor} of the base image "
            "does not see the packages: they were installed by another version.\n"
            "orrery: Next: Name base images of one release for all platforms: --base OS/ARCH=IMAGE\n"
        )
        return 2
    written = {
        RELEASE: _json(release_facts(facts, versions)),
        CONSTRAINTS: constraints(versions),
        BILLS / "sbom.cdx.json": _json(bill.cyclonedx(facts, [*found, *debian])),
        BILLS / "sbom.spdx.json": _json(bill.spdx(facts, [*found, *debian])),
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (epoch, epoch))
    _give_a_configuration(epoch)
    _compile(epoch)
    return 0


def release_facts(facts: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """Return what `/etc/orrery-release` says: the given facts, and what is really installed."""
    release = catalogue.load().release(orrery.__version__)
    return facts | {
        "airflow": versions.get("apache-airflow"),
        "task_sdk": versions.get("apache-airflow-task-sdk"),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        "early_fixes": [
            {"id": fix.id, "pull_request": fix.pull_request, "title": fix.title, "guard": fix.guard}
            for fix in release.early_fixes or ()
        ],
        "providers": {
            name: version
            for name, version in sorted(versions.items())
            if name.startswith("apache-airflow-providers-")
        },
    }


def constraints(versions: dict[str, str]) -> str:
    """Return the versions that a project's requirements keep: what is here, and what full would add."""
    held = {normalised(name): version for name, version in pins(lock_path("full")).items()} | versions
    return "".join(f"{name}=={version}\n" for name, version in sorted(held.items()))


def _forget_where_it_came_from() -> None:
    """Let `pip freeze` name a version, not a file of the build; and each build write the same."""
    package = Path(sysconfig.get_path("purelib"))
    for folder in package.glob("orrery_runtime-*.dist-info"):
        for name in _OF_THE_BUILD:
            (folder / name).unlink(missing_ok=True)
        record = folder / "RECORD"
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not any(f"/{name}," in line for name in _OF_THE_BUILD)]
        record.write_text("".join(kept), encoding="utf-8")


def _give_a_configuration(epoch: int) -> None:
    """Lay an airflow.cfg that says nothing where Airflow looks: a read-only container cannot make one."""
    path = Path(os.environ["AIRFLOW_HOME"]) / "airflow.cfg"
    path.write_text(airflow_file.MINIMAL.read_text(encoding="utf-8"), encoding="utf-8")
    path.chmod(0o664)
    os.chown(path, 50000, 0)
    for touched in (path, path.parent):
        os.utime(touched, (epoch, epoch))


def _compile(epoch: int) -> None:
    package = Path(str(orrery.__file__)).parent
    for cache in list(package.rglob("__pycache__")):
        shutil.rmtree(cache)
    for path in [package, *package.rglob("*")]:
        os.utime(path, (epoch, epoch))
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    compileall.compile_dir(package, quiet=1, invalidation_mode=mode)
    for path in [package, *package.rglob("*")]:
        os.utime(path, (epoch, epoch))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
