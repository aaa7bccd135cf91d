"""What stands beside an image: bills of materials, licences, provenance, vulnerabilities, and one signature.

SHA256SUMS        digests of all the others; SHA256SUMS.sig signs it
provenance.json   in-toto statement, SLSA provenance 1: which image, built from what
sbom.cdx.json, sbom.spdx.json, licences.json, vulnerabilities.json
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from orrery import __version__
from orrery.errors import InputError, MachineError
from orrery.image import signature
from orrery.image.advisories import PYPI, Finding, count, debian, findings
from orrery.release.locks import lock_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orrery.image.engine import Engine
    from orrery.image.facts import ImageFacts

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"
PROVENANCE: Final = "provenance.json"
VULNERABILITIES: Final = "vulnerabilities.json"
_BILLS: Final = ("sbom.cdx.json", "sbom.spdx.json")
#: Where `seal` has put them.
_FOLDER: Final = "/usr/share/orrery"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attested:
    """What was written."""

    folder: Path
    public_key: Path
    #: None: there was nothing to look them up in.
    findings: tuple[Finding, ...] | None
    #: How many advisories were about each ecosystem; none: nothing can have been found there.
    compared: Mapping[str, int]


def attest(
    engine: Engine,
    facts: ImageFacts,
    *,
    folder: Path,
    key: Path,
    advisories: Iterable[Mapping[str, Any]] | None,
) -> Attested:
    """Write all of it for an image, and sign it.

    Raises:
        InputError: the key or the advisories cannot be used; nothing was written.
        MachineError: the folder cannot be written.
    """
    public = signature.ensure_key(key)
    versions = {name: package.version for name, package in facts.packages.items()}
    found, compared = None, {}
    if advisories is not None:
        known = list(advisories)
        release, sources = source_packages(engine, facts.name)
        looked_up = ((PYPI, versions), (debian(release), sources))
        compared = {ecosystem.name: count(known, ecosystem) for ecosystem, _ in looked_up}
        found = tuple(
            each for ecosystem, packages in looked_up for each in findings(known, packages, ecosystem)
        )
    contents = {name: _read(engine, facts.name, name) for name in _BILLS} | {
        "licences.json": text({name: package.licence for name, package in sorted(facts.packages.items())}),
        PROVENANCE: text(provenance(facts)),
        VULNERABILITIES: text(vulnerabilities(found, compared)),
    }
    contents[SUMS] = sums(contents)
    # Last: who finds it finds all that it signs.
    contents[SIGNATURE] = signature.sign(contents[SUMS].encode(), key) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise MachineError(
            f"Cannot write {error.filename}: {error.strerror}.", hint="Choose another folder: --output FOLDER"
        ) from error
    return Attested(folder=folder, public_key=public, findings=found, compared=compared)


def verify(facts_digest: str, *, folder: Path, public: Path) -> list[str]:
    """Return the files that were checked: signed by the key, unchanged, and about that image.

    Raises:
        InputError: they are not; the message says what is not.
    """
    try:
        listed = (folder / SUMS).read_text(encoding="utf-8")
        signed = (folder / SIGNATURE).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(
            f"{folder} holds no attestations: {error.strerror}: {error.filename}.",
            hint="Name the folder that 'orrery image attest' has written: --attestations FOLDER",
        ) from error
    if not signature.holds(listed.encode(), signed, public):
        raise InputError(
            f"{SIGNATURE} is not the signature of {SUMS} by {public}.",
            hint="Ask whoever published the image for the right key; do not run it until this holds.",
        )
    names = []
    for line in listed.splitlines():
        digest, _, name = line.partition("  ")
        file = folder / name
        if "/" in name or not file.is_file() or _digest(file.read_bytes()) != digest:
            raise InputError(
                f"{name} is missing, or was changed after it was signed.",
                hint="Fetch the attestations again; do not run the image until this holds.",
            )
        names.append(name)
    subject = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["subject"][0]
    if facts_digest.removeprefix("sha256:") != subject["digest"]["sha256"]:
        raise InputError(
            f"The attestations are about another image: {subject['name']}, "
            f"sha256:{subject['digest']['sha256']}.",
            hint="Name the image that they were published with.",
        )
    return names


def provenance(facts: ImageFacts) -> dict[str, Any]:
    """Return what the image says it was built from, as https://slsa.dev/spec/v1.0/provenance has it."""
    release = facts.release
    sources: list[dict[str, Any]] = [
        {"uri": f"pkg:docker/{release['base_image']}", "annotations": {"role": "base image"}},
        {"name": "orrery-runtime", "digest": {"gitCommit": release["revision"]}},
    ]
    if release["runtime"] == __version__:
        lock = lock_path("slim" if "slim" in str(release["variant"]) else "full")
        digest = {"sha256": _digest(lock.read_bytes())}
        sources.append({"name": f"requirements/{lock.name}", "digest": digest})
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": facts.name, "digest": {"sha256": facts.digest.removeprefix("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:orrery:image-build:1",
                "externalParameters": {
                    "variant": release["variant"],
                    "base_image": release["base_image"],
                    "architecture": facts.architecture,
                },
                "resolvedDependencies": sources,
            },
            "runDetails": {
                "builder": {"id": "urn:orrery:local", "version": {"orrery-runtime": __version__}},
                "metadata": {"startedOn": release["created"]},
            },
        },
    }


def vulnerabilities(found: Iterable[Finding] | None, compared: Mapping[str, int]) -> dict[str, Any]:
    """Return the report: what was found, or that nothing was looked up."""
    if found is None:
        return {"looked_up": False, "why": "No advisories were given (--advisories FILE)."}
    return {
        "looked_up": True,
        "advisories": dict(compared),
        "findings": [asdict(each) for each in found],
    }


def source_packages(engine: Engine, image: str) -> tuple[str, dict[str, str]]:
    """Return an image's Debian release and source packages (name -> version): advisories name these."""
    script = (
        ". /etc/os-release && echo $VERSION_ID && "
        "dpkg-query --show --showformat '${db:Status-Status} ${source:Package} ${source:Version}\\n'"
    )
    release, *lines = engine.said_in(image, "sh", "-c", script).splitlines()
    rows = [line.split() for line in lines]
    return release, {name: version for status, name, version in rows if status == "installed"}


def sums(contents: Mapping[str, str]) -> str:
    """Return the digests as `sha256sum --check` takes them."""
    return "".join(f"{_digest(content.encode())}  {name}\n" for name, content in sorted(contents.items()))


def text(value: object) -> str:
    """Return a value as JSON: the same value, the same text."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _read(engine: Engine, image: str, name: str) -> str:
    return engine.said_in(image, "cat", f"{_FOLDER}/{name}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
