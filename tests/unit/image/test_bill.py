"""Bills of materials: what is installed, in the two formats, the same each time."""

from __future__ import annotations

from importlib import metadata

from orrery.image import bill
from orrery.image.bill import Component

FACTS = {
    "repository": "orrery/runtime",
    "image_tag": "17.0.0",
    "runtime": "17.0.0",
    "created": "2026-11-23T00:00:00Z",
}
COMPONENTS = [
    Component(kind="pypi", name="click", version="8.3.0", licence="BSD-3-Clause"),
    Component(kind="deb", name="libstdc++6", version="14.2.0-19"),
]
STATUS = """Package: libc6
Status: install ok installed
Version: 2.41-12
Description: GNU C Library
 Package: not-this-one

Package: gone
Status: deinstall ok config-files
Version: 1.0
"""


def test_installed_python_packages_are_found_with_their_licences() -> None:
    found = {component.name: component for component in bill.python_components(metadata.distributions())}
    assert found["click"].licence == "BSD-3-Clause"
    assert found["orrery-runtime"].licence == "Apache-2.0"


def test_removed_debian_packages_are_not_listed() -> None:
    assert bill.debian_components(STATUS) == [Component(kind="deb", name="libc6", version="2.41-12")]


def test_cyclonedx_names_every_component_by_its_package_url() -> None:
    document = bill.cyclonedx(FACTS, COMPONENTS)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [component["purl"] for component in document["components"]] == [
        "pkg:pypi/click@8.3.0",
        "pkg:deb/debian/libstdc++6@14.2.0-19",
    ]
    assert document["components"][0]["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert "licenses" not in document["components"][1]


def test_spdx_ids_are_unique_and_every_package_is_contained() -> None:
    document = bill.spdx(FACTS, COMPONENTS)
    ids = [package["SPDXID"] for package in document["packages"]]
    contained = {
        relation["relatedSpdxElement"]
        for relation in document["relationships"]
        if relation["relationshipType"] == "CONTAINS"
    }
    assert len(set(ids)) == len(ids) == 3
    assert contained == set(ids) - {"SPDXRef-image"}


def test_the_same_components_give_the_same_document() -> None:
    assert bill.cyclonedx(FACTS, COMPONENTS) == bill.cyclonedx(FACTS, COMPONENTS)
    other = bill.cyclonedx(FACTS, COMPONENTS[:1])
    assert other["serialNumber"] != bill.cyclonedx(FACTS, COMPONENTS)["serialNumber"]
