"""What is written beside an image, and what of it is believed."""

from __future__ import annotations

import json
import stat
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest

from orrery import __version__
from orrery.errors import InputError
from orrery.image import attestation, signature
from orrery.image.facts import ImageFacts, Package

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.image.engine import Engine

IMAGE = ImageFacts(
    name="orrery/runtime:17.0.0-slim",
    digest="sha256:" + "a" * 64,
    size_bytes=1,
    architecture="amd64",
    release={
        "runtime": __version__,
        "variant": "slim",
        "base_image": "debian:13-slim",
        "revision": "b" * 40,
        "created": "2026-11-27T00:00:00Z",
    },
    packages={"flask-thing": Package(version="1.2", licence="MIT", size_bytes=1)},
    settings={},
    layers=(),
)


class FakeEngine:
    """Gives a file of an image."""

    def said_in(self, image: str, program: str, *arguments: str) -> str:
        return f"{arguments[-1]}\n"


@pytest.fixture
def written(tmp_path: Path) -> attestation.Attested:
    return attestation.attest(
        cast("Engine", FakeEngine()),
        IMAGE,
        folder=tmp_path / "beside",
        key=tmp_path / "keys" / "image.key",
        advisories=None,
    )


def verified(written: attestation.Attested, digest: str = IMAGE.digest, key: Path | None = None) -> Any:
    return attestation.verify(digest, folder=written.folder, public=key or written.public_key)


def test_what_was_written_is_verified(written: attestation.Attested) -> None:
    assert set(verified(written)) == {
        "licences.json",
        "provenance.json",
        "sbom.cdx.json",
        "sbom.spdx.json",
        "vulnerabilities.json",
    }
    private = written.public_key.with_suffix("")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert json.loads((written.folder / "vulnerabilities.json").read_text())["looked_up"] is False


def test_provenance_names_the_image_and_what_it_was_built_from(written: attestation.Attested) -> None:
    statement = json.loads((written.folder / "provenance.json").read_text())
    assert statement["subject"] == [{"name": IMAGE.name, "digest": {"sha256": "a" * 64}}]
    base, source, lock = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert base["uri"] == "pkg:docker/debian:13-slim"
    assert source["digest"] == {"gitCommit": "b" * 40}
    assert lock["name"] == "requirements/slim.txt"
    assert len(lock["digest"]["sha256"]) == 64


def test_the_same_image_and_key_give_the_same_texts(written: attestation.Attested, tmp_path: Path) -> None:
    key = written.public_key.with_suffix("")
    again = attestation.attest(
        cast("Engine", FakeEngine()), IMAGE, folder=tmp_path / "again", key=key, advisories=None
    )
    for name in ("provenance.json", "SHA256SUMS"):
        assert (again.folder / name).read_text() == (written.folder / name).read_text()
    assert verified(again)


@pytest.mark.parametrize("name", ["sbom.cdx.json", "provenance.json", "SHA256SUMS", "SHA256SUMS.sig"])
def test_a_changed_file_is_noticed(written: attestation.Attested, name: str) -> None:
    file = written.folder / name
    file.write_text(f"b{file.read_text()[1:]}")
    with pytest.raises(InputError, match=r"changed after it was signed|not the signature"):
        verified(written)


def test_a_missing_file_another_key_and_another_image_are_noticed(
    written: attestation.Attested, tmp_path: Path
) -> None:
    other = signature.ensure_key(tmp_path / "other.key")
    with pytest.raises(InputError, match="not the signature"):
        verified(written, key=other)
    with pytest.raises(InputError, match="about another image"):
        verified(written, digest="sha256:" + "c" * 64)
    (written.folder / "licences.json").unlink()
    with pytest.raises(InputError, match=r"licences\.json is missing"):
        verified(written)
    with pytest.raises(InputError, match="holds no attestations"):
        attestation.verify(IMAGE.digest, folder=tmp_path, public=written.public_key)


def test_advisories_are_looked_up(tmp_path: Path) -> None:
    affected = {
        "package": {"ecosystem": "PyPI", "name": "flask_thing"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
    }
    made = attestation.attest(
        cast("Engine", FakeEngine()),
        IMAGE,
        folder=tmp_path,
        key=tmp_path / "key",
        advisories=[{"id": "PYSEC-1", "affected": [affected]}],
    )
    report = json.loads((tmp_path / "vulnerabilities.json").read_text())
    assert [each["id"] for each in report["findings"]] == ["PYSEC-1"]
    assert made.findings is not None
    assert made.findings[0].fixed_in == "2"


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_told_and_left(tmp_path: Path, text: str) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    with pytest.raises(InputError, match="holds no private key"):
        attestation.attest(
            cast("Engine", FakeEngine()), IMAGE, folder=tmp_path / "beside", key=key, advisories=None
        )
    assert key.read_text() == text
    assert not (tmp_path / "beside").exists()


def test_openssl_agrees(written: attestation.Attested) -> None:
    """The signature is one that others can check."""
    import base64

    signed = (written.folder / "SHA256SUMS.sig").read_text()
    raw = written.folder / "raw"
    raw.write_bytes(base64.b64decode(signed))
    asked = ["openssl", "dgst", "-sha256", "-verify", str(written.public_key), "-signature", str(raw)]
    ended = subprocess.run(
        [*asked, str(written.folder / "SHA256SUMS")], capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "Verified OK", ended.stderr
