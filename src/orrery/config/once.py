"""Files that are written once, however many processes start at the same time."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_once(path: Path, text: str) -> None:
    """Create `path` with mode 0600 and `text`, unless it exists; nobody ever sees half of it.

    Raises:
        OSError: the folder is missing or not writable.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600 by contract
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # link() fails where the name exists; rename() would replace what another process already uses.
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)  # noqa: PTH108 - a name, not a Path
