"""The footer's built file, made by `npm run build` in frontend/."""

from __future__ import annotations

import hashlib
from pathlib import Path

# The name under which the file puts its component on `globalThis`; also in frontend/src/index.tsx.
GLOBAL_NAME = "OrreryFooter"
PATH = Path(__file__).parent / "static" / "footer.js"


def digest() -> str | None:
    """Return a short hash of the built file, or None when it was not built."""
    try:
        return hashlib.sha256(PATH.read_bytes()).hexdigest()[:12]
    except OSError:
        return None
