"""The built files of the interface, made by `npm run build` in frontend/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A built file, and a component that it registers."""

    #: Airflow looks for the component under this name on `globalThis`; of a page it is also its name in
    #: the menu. The frontend registers the same (frontend/src/index.tsx, frontend/src/*/index.tsx).
    component: str
    path: Path

    @property
    def digest(self) -> str | None:
        """A short hash of the file; None when it was not built."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        except OSError:
            return None


FOOTER = Bundle(component="OrreryFooter", path=FOLDER / "footer.js")
WORKERS = Bundle(component="Workers", path=FOLDER / "workers.js")
#: Two pages in one file: they share nearly everything.
ACCESS = Bundle(component="Access", path=FOLDER / "access.js")
MY_ACCESS = Bundle(component="My access", path=FOLDER / "access.js")


def bundles() -> dict[str, Bundle]:
    """Return all of them by the name of their file."""
    return {bundle.path.name: bundle for bundle in (FOOTER, WORKERS, ACCESS)}
