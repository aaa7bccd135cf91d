"""Prints as JSON, inside an image, what is in it: `python -m orrery.image.contents`."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.config import defaults
from orrery.image import bill
from orrery.image.seal import RELEASE
from orrery.release.locks import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution


def main() -> int:
    """Print the release, the Python packages with licence and size, and Orrery's defaults."""
    sys.stdout.write(json.dumps(contents()) + "\n")
    return 0


def contents() -> dict[str, Any]:
    """Return them."""
    distributions = [found for found in metadata.distributions() if found.name]
    sizes = package_sizes(distributions)
    return {
        "release": json.loads(RELEASE.read_text(encoding="utf-8")),
        "packages": [
            {
                "name": component.name,
                "version": component.version,
                "licence": component.licence,
                "bytes": sizes.get(component.name, 0),
            }
            for component in bill.python_components(distributions)
        ],
        "settings": {
            f"{section}.{option}": default.value or f"computed: {default.compute}"
            for (section, option), default in defaults.load().of_profile(None).items()
        },
    }


def package_sizes(distributions: Iterable[Distribution]) -> dict[str, int]:
    """Return name -> bytes on disk of the files that each package lists, with their byte-code."""
    sizes: dict[str, int] = {}
    for distribution in distributions:
        total = 0
        for listed in distribution.files or ():
            file = Path(str(distribution.locate_file(listed)))
            compiled = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
            for found in (file, compiled) if file.suffix == ".py" else (file,):
                total += found.stat().st_size if found.is_file() else 0
        sizes[normalised(distribution.name)] = total
    return sizes


if __name__ == "__main__":
    sys.exit(main())
