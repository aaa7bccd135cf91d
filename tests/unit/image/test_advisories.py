"""Which advisories are about a version."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import InputError
from orrery.image.advisories import PYPI, count, debian, findings, read

if TYPE_CHECKING:
    from pathlib import Path


def advisory(*events: dict[str, str], name: str = "Flask_Thing", **given: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": "PYSEC-1", "aliases": ["CVE-2"], "affected": [affected], **given}


FIXED = ({"introduced": "1.0"}, {"fixed": "1.4"})


@pytest.mark.parametrize(
    ("events", "version", "is_found"),
    [
        (FIXED, "0.9", False),
        (FIXED, "1.0", True),
        (FIXED, "1.3.9", True),
        (FIXED, "1.4rc1", True),
        (FIXED, "1.4", False),
        (FIXED, "1.10", False),
        (({"introduced": "0"},), "7", True),
        (({"introduced": "0"}, {"last_affected": "2.1"}), "2.1", True),
        (({"introduced": "0"}, {"last_affected": "2.1"}), "2.1.post1", False),
        (({"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}), "1.5", False),
        (({"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}), "2.5", True),
        (({"introduced": "unreadable"},), "1", False),
    ],
)
def test_a_version_is_affected_from_its_introduction_to_its_fix(
    events: tuple[dict[str, str], ...], version: str, is_found: bool
) -> None:
    found = findings([advisory(*events)], {"flask-thing": version, "other": "1.0"})
    assert [each.package for each in found] == (["flask-thing"] if is_found else [])


def test_a_finding_names_the_fix_and_the_other_numbers() -> None:
    (found,) = findings([advisory(*FIXED, summary="Bad\n  things")], {"flask-thing": "1.2"})
    assert (found.fixed_in, found.aliases, found.summary) == ("1.4", ("CVE-2",), "Bad things")


def test_withdrawn_advisories_and_other_ecosystems_say_nothing() -> None:
    elsewhere = advisory(*FIXED)
    elsewhere["affected"][0]["package"]["ecosystem"] = "npm"
    withdrawn = advisory(*FIXED, withdrawn="2026-01-01T00:00:00Z")
    assert findings([elsewhere, withdrawn], {"flask-thing": "1.2"}) == []


def test_debians_advisories_are_about_one_release_and_its_source_packages() -> None:
    fixed = {"introduced": "0"}, {"fixed": "3.0.11-1~deb12u2"}
    old = advisory(*fixed, name="openssl")
    old["affected"][0]["package"]["ecosystem"] = "Debian:12"
    held = {"openssl": "3.0.11-1~deb12u1"}
    (found,) = findings([old], held, debian("12"))
    assert (found.package, found.fixed_in) == ("openssl", "3.0.11-1~deb12u2")
    assert findings([old], {"openssl": "3.0.11-1"}, debian("12")) == []
    assert findings([old], held, debian("13")) == findings([old], held, debian("1")) == []
    assert findings([old], held) == []
    assert [count([old, advisory(*FIXED)], each) for each in (debian("12"), debian("13"), PYPI)] == [1, 0, 1]


def test_listed_versions_count_too() -> None:
    listed = advisory()
    listed["affected"][0]["versions"] = ["1.2.0", "not a version"]
    assert len(findings([listed], {"flask-thing": "1.2"})) == 1


def test_archives_folders_and_files_are_read_alike(tmp_path: Path) -> None:
    text = json.dumps(advisory(*FIXED))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one.json").write_text(text)
    (tmp_path / "archives").mkdir()
    for path in (tmp_path / "all.zip", tmp_path / "archives" / "all.zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.json", text)
    (tmp_path / "list.json").write_text(f"[{text}]")
    archives = (tmp_path / "all.zip", tmp_path / "archives")
    for source in (folder, folder / "one.json", *archives, tmp_path / "list.json"):
        assert [each["id"] for each in read(source)] == ["PYSEC-1"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json"])
def test_what_holds_no_advisory_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(InputError, match="advisories"):
        list(read(file))
    with pytest.raises(InputError, match="cannot be read"):
        list(read(tmp_path / "missing"))
