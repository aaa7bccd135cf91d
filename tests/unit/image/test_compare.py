"""Two saved images, compared byte for byte."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

from orrery.image.compare import Difference, compare_archives

if TYPE_CHECKING:
    from pathlib import Path


def layer(**files: str) -> bytes:
    """A layer; a file's text may end in `@TIME`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            content, _, time = text.partition("@")
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), int(time or 0)
            archive.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


def saved(path: Path, *layers: bytes) -> Path:
    with tarfile.open(path, mode="w") as archive:
        names = [f"layer-{number}.tar" for number in range(len(layers))]
        contents = {"manifest.json": json.dumps([{"Layers": names}]).encode()}
        contents |= dict(zip(names, layers, strict=True))
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_the_same_layers_are_the_same(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", layer(a="1"), layer(b="2"))
    other = saved(tmp_path / "other", layer(a="1"), layer(b="2"))
    found = compare_archives(one, other)
    assert found.are_same
    assert (len(found.before), found.differences) == (2, ())


def test_each_file_that_differs_is_named_with_what_differs(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", layer(a="1"), layer(b="2", c="3@7", d="4"))
    other = saved(tmp_path / "other", layer(a="1"), layer(b="5", c="3@8", e="6"))
    found = compare_archives(one, other)
    assert not found.are_same
    assert found.before[0] == found.after[0]
    assert found.differences == (
        Difference(layer=1, path="b", what="content"),
        Difference(layer=1, path="c", what="time"),
        Difference(layer=1, path="d", what="only in the first"),
        Difference(layer=1, path="e", what="only in the second"),
    )


def test_the_order_of_files_alone_makes_layers_differ(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", layer(a="1", b="2"))
    other = saved(tmp_path / "other", layer(b="2", a="1"))
    found = compare_archives(one, other)
    assert (found.are_same, found.differences) == (False, ())


def test_a_layer_more_is_a_difference(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", layer(a="1"))
    other = saved(tmp_path / "other", layer(a="1"), layer(b="2"))
    assert not compare_archives(one, other).are_same
