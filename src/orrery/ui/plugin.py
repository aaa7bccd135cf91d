"""The plug-in that Airflow loads. It is imported in every Airflow process, so it does nothing by itself:
the web application is built when the API server answers the first request for it.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

URL_PREFIX = "/orrery"


class LazyApplication:
    """An ASGI application that is built by its first request: importing FastAPI costs half a second."""

    @cached_property
    def _application(self) -> ASGIApp:
        from orrery.ui.views import create_app  # noqa: PLC0415 - see the class

        return create_app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the real application."""
        await self._application(scope, receive, send)


def _menu_entry(name: str, page: str) -> dict[str, str]:
    # Without a leading slash: the browser resolves it against Airflow's own base address.
    href = f"{URL_PREFIX.lstrip('/')}/v1/pages/{page}"
    return {"name": name, "href": href, "destination": "nav", "category": "docs"}


class OrreryPlugin(AirflowPlugin):  # type: ignore[misc] # Airflow's types are not followed
    """The footer on every page, three entries in the menu 'Docs', and the routes under /orrery."""

    name = "orrery"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"app": LazyApplication(), "url_prefix": URL_PREFIX, "name": "Orrery Runtime"}
    ]
    external_views: ClassVar[list[dict[str, Any]]] = [
        _menu_entry("Orrery documentation", "documentation"),
        _menu_entry("Orrery release notes", "release-notes"),
        _menu_entry("Orrery support", "support"),
    ]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:
        """Return the footer; without its built file (no Node at set-up) return nothing and say so once."""
        from orrery.ui import bundle  # noqa: PLC0415 - only the API server asks

        digest = bundle.digest()
        if digest is None:
            log.warning(
                "Orrery's footer is not shown: %s is missing. Install Node.js and run `make setup`.",
                bundle.PATH,
            )
            return []
        return [
            {
                "name": bundle.GLOBAL_NAME,
                "bundle_url": f"{URL_PREFIX.lstrip('/')}/static/{bundle.PATH.name}?v={digest}",
                "destination": "base",
            }
        ]
