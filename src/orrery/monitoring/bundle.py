"""The DAG bundle `orrery-system`: the DAGs that Orrery Runtime itself brings, read-only in the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from orrery.monitoring.policy import SYSTEM_DAGS_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

NAME = "orrery-system"
REFRESH_SECONDS = 300


class SystemBundle(BaseDagBundle):  # type: ignore[misc]
    """The package's own DAG folder, and the pool that its tasks need.

    Airflow refreshes a bundle only in the DAG processor, which may use the database, always before it
    looks for files, and leaves the bundle alone when refreshing fails. So the pool exists before the DAG
    does, in every deployment, and comes back within `REFRESH_SECONDS` after somebody removed it. A plug-in
    listener would be the obvious alternative, but as soon as any listener exists Airflow refuses every
    operator with `end_from_trigger=True`.
    """

    supports_versioning = False

    def __init__(self, *, name: str = NAME, refresh_interval: int = REFRESH_SECONDS, **kwargs: Any) -> None:
        super().__init__(name=name, refresh_interval=refresh_interval, **kwargs)

    @property
    def path(self) -> Path:
        """The folder in the installed package; nothing is ever written there."""
        return SYSTEM_DAGS_FOLDER

    def get_current_version(self) -> None:
        """Return None: the files change with the installed package only."""

    def refresh(self) -> None:
        """Ensure the pool; the files need nothing."""
        from orrery.monitoring.store import ensure_system_pool  # noqa: PLC0415 - tasks must not load models

        ensure_system_pool()
