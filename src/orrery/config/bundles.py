"""Orrery's own Dag bundle, added to whatever bundles the user has configured."""

from __future__ import annotations

import json
from typing import Any

SECTION, OPTION = "dag_processor", "dag_bundle_config_list"

SYSTEM_BUNDLE: dict[str, Any] = {
    "name": "orrery-system",
    "classpath": "orrery.monitoring.bundle.SystemBundle",
    "kwargs": {},
}
#: Airflow's own default: the Dags folder (a contract test compares it with the installed Airflow).
AIRFLOW_BUNDLES: list[dict[str, Any]] = [
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {},
    }
]
WHY = "The monitoring Dag must be present whichever bundles are configured, so its bundle is always added."


def with_system_bundle(text: str | None) -> str | None:
    """Return a bundle list with the system bundle in it; None stands for Airflow's default.

    None is returned when there is nothing to change: the bundle is there already, or the text is not a
    list of bundles, about which Airflow complains better than we could.
    """
    try:
        bundles = AIRFLOW_BUNDLES if text is None else json.loads(text) if text.strip() else []
    except ValueError:
        return None
    if not isinstance(bundles, list) or not all(isinstance(bundle, dict) for bundle in bundles):
        return None
    if any(bundle.get("name") == SYSTEM_BUNDLE["name"] for bundle in bundles):
        return None
    return json.dumps([*bundles, SYSTEM_BUNDLE])
