"""Bills of materials, CycloneDX 1.6 and SPDX 2.3, from what is installed: pure, the same in, the same out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orrery.release.locks import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

#: Classifiers that say a licence where no expression does.
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(?P<name>.+)")
_LONGEST_LICENCE = 100


@dataclass(frozen=True, kw_only=True, order=True, slots=True)
class Component:
    """One package in the image; `licence` as its own metadata say it, None where they do not."""

    kind: Literal["pypi", "deb"]
    name: str
    version: str
    licence: str | None = None

    @property
    def purl(self) -> str:
        """The package URL (https://github.com/package-url): a name that scanners match."""
        place = "deb/debian" if self.kind == "deb" else "pypi"
        return f"pkg:{place}/{self.name}@{self.version.replace('+', '%2B')}"


def python_components(distributions: Iterable[Distribution]) -> list[Component]:
    """Return the Python packages, each once, in order."""
    found = {
        normalised(distribution.name): Component(
            kind="pypi",
            name=normalised(distribution.name),
            version=distribution.version,
            licence=_licence(distribution),
        )
        for distribution in distributions
        if distribution.name
    }
    return sorted(found.values())


def _licence(distribution: Distribution) -> str | None:
    facts: Any = distribution.metadata
    if expression := facts.get("License-Expression"):
        return str(expression)
    named = [
        match["name"].split(" :: ")[-1]
        for text in facts.get_all("Classifier") or ()
        if (match := _CLASSIFIER.fullmatch(text))
    ]
    if named:
        return " AND ".join(sorted(named))
    text = str(facts.get("License") or "").strip()
    return text if text and "\n" not in text and len(text) <= _LONGEST_LICENCE else None


def debian_components(status: str) -> list[Component]:
    """Return the installed Debian packages of dpkg's status file; their licences stand in /usr/share/doc."""
    found = []
    for entry in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in entry.splitlines() if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status") == "install ok installed":
            found.append(Component(kind="deb", name=fields["Package"], version=fields["Version"]))
    return sorted(found)


def cyclonedx(facts: dict[str, Any], components: list[Component]) -> dict[str, Any]:
    """Return a CycloneDX document."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "serialNumber": f"urn:uuid:{_uuid(components)}",
        "metadata": {
            "timestamp": facts["created"],
            "component": {
                "type": "container",
                "name": facts["repository"],
                "version": facts["image_tag"],
                "bom-ref": "image",
            },
        },
        "components": [
            {
                "type": "library",
                "bom-ref": component.purl,
                "name": component.name,
                "version": component.version,
                "purl": component.purl,
                **({"licenses": [{"license": {"name": component.licence}}]} if component.licence else {}),
            }
            for component in components
        ],
    }


def spdx(facts: dict[str, Any], components: list[Component]) -> dict[str, Any]:
    """Return an SPDX document."""
    image = {
        "SPDXID": "SPDXRef-image",
        "name": facts["repository"],
        "versionInfo": facts["image_tag"],
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
    }
    packages = [
        {
            "SPDXID": _spdx_id(component),
            "name": component.name,
            "versionInfo": component.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            **(
                {"licenseComments": f"Declared by the package: {component.licence}"}
                if component.licence
                else {}
            ),
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": component.purl,
                }
            ],
        }
        for component in components
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{facts['repository']}:{facts['image_tag']}",
        "documentNamespace": f"urn:uuid:{_uuid(components)}",
        "creationInfo": {"created": facts["created"], "creators": [f"Tool: orrery-{facts['runtime']}"]},
        "packages": [image, *packages],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": "SPDXRef-image",
            },
            *(
                {
                    "spdxElementId": "SPDXRef-image",
                    "relationshipType": "CONTAINS",
                    "relatedSpdxElement": package["SPDXID"],
                }
                for package in packages
            ),
        ],
    }


def _spdx_id(component: Component) -> str:
    return "SPDXRef-" + re.sub(
        r"[^A-Za-z0-9.-]+", "-", f"{component.kind}-{component.name}-{component.version}"
    )


def _uuid(components: list[Component]) -> str:
    """Return an identifier made from the content: a repeated build gives the same document."""
    digest = hashlib.sha256("\n".join(component.purl for component in components).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
