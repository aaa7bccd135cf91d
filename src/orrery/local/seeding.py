"""Connections, variables and pools that a project declares, brought into a running deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orrery.local.api import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orrery.local.plan import Seeds


def apply(seeds: Seeds, api: Api, *, report: Callable[[str], None]) -> None:
    """Make what is missing and change what differs; what the user made in the UI besides stays.

    A seed that Airflow refuses is reported and the others are applied all the same.
    """
    for path, key, bodies in (
        ("/connections", "connection_id", seeds.connections),
        ("/variables", "key", seeds.variables),
        ("/pools", "name", seeds.pools),
    ):
        _apply_all(path, key, bodies, api, report)


def _apply_all(
    path: str, key: str, bodies: Iterable[dict[str, Any]], api: Api, report: Callable[[str], None]
) -> None:
    for body in bodies:
        one = f"{path}/{quote(str(body[key]), safe='')}"
        try:
            if api.find(one) is None:
                api.post(path, body)
            else:
                api.patch(one, body)
        except ApiError as error:
            report(f"{body[key]} of airflow_settings.yaml was not applied: {error.message}")
