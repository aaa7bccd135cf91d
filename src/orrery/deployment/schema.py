"""The published JSON Schema of `orrery.yaml`, made from the model.

`python -m orrery.deployment.schema FILE` writes it; a test holds docs/reference/orrery.schema.json fresh.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from orrery.deployment.model import Deployment


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12); every key is optional, as in the file."""
    made = Deployment.model_json_schema()
    # The reader fills in the name from the folder, so a file need not give it.
    made.pop("required", None)
    made["properties"]["runtime"].pop("default", None)  # it follows the command's version
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "orrery.yaml", **made} | {
        "title": "orrery.yaml"
    }


def schema_text() -> str:
    """Return the schema as the published file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
