"""The plug-in that Airflow loads. It is imported in every Airflow process, so it does nothing by itself:
the web application is built when the API server answers the first request for it.
"""

from __future__ import annotations

import importlib
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

URL_PREFIX = "/orrery"


class LazyApplication:
    """An ASGI application that is built by its first request: importing FastAPI costs half a second.

    `module` has the function `create_app`.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    @cached_property
    def _application(self) -> ASGIApp:
        application: ASGIApp = importlib.import_module(self._module).create_app()
        return application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the real application."""
        await self._application(scope, receive, send)


def _menu_entry(name: str, page: str) -> dict[str, str]:
    # Without a leading slash: the browser resolves it against Airflow's own base address.
    href = f"{URL_PREFIX.lstrip('/')}/v1/pages/{page}"
    return {"name": name, "href": href, "destination": "nav", "category": "docs"}


def _icons(icon: str) -> dict[str, str]:
    return {
        "icon": icon.format(colour="52525b", below="fff"),
        "icon_dark_mode": icon.format(colour="d4d4d8", below="0000"),
    }


#: Two racks; the colour is that of the menu's own icons.
_WORKERS_ICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%23{colour}' "
    "stroke-width='1.75' stroke-linecap='round' stroke-linejoin='round'%3E"
    "%3Crect x='3' y='4' width='18' height='7' rx='1.5'/%3E"
    "%3Crect x='3' y='13' width='18' height='7' rx='1.5'/%3E"
    "%3Cpath d='M7 7.5h.01M7 16.5h.01M12 7.5h5M12 16.5h5'/%3E%3C/svg%3E"
)

#: A key. In the light look Airflow's ground is dark where the entry is chosen: the white below is seen there.
_KEY = "%3Cpath d='M12.5 15.5a4.5 4.5 0 1 1-1.3-3.2L20 3.5M16 7.5l3 3M13.5 10l2 2'"
_ACCESS_ICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
    f"stroke-linecap='round' stroke-linejoin='round'%3E{_KEY} stroke='%23{{below}}' stroke-width='3.5'/%3E"
    f"{_KEY} stroke='%23{{colour}}' stroke-width='1.75'/%3E%3C/svg%3E"
)
#: The manager that the pages of access are about.
_AUTH_MANAGER = "orrery.auth.manager.OrreryAuthManager"


class OrreryPlugin(AirflowPlugin):  # type: ignore[misc] # Airflow's types are not followed
    """The footer on every page, the pages 'Workers', 'Access' and 'My access', three entries in the menu
    'Docs', the routes.
    """

    name = "orrery"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        # Before the pages: Airflow mounts in this order, and the first prefix that fits is taken.
        {
            "app": LazyApplication("orrery.executor.batch_api"),
            "url_prefix": f"{URL_PREFIX}/v1/execution",
            "name": "Orrery Runtime's batch route",
        },
        {
            "app": LazyApplication("orrery.auth.api"),
            "url_prefix": f"{URL_PREFIX}/v1/access",
            "name": "Orrery Runtime's access",
        },
        {
            "app": LazyApplication("orrery.ui.views"),
            "url_prefix": URL_PREFIX,
            "name": "Orrery Runtime",
        },
    ]
    external_views: ClassVar[list[dict[str, Any]]] = [
        _menu_entry("Orrery documentation", "documentation"),
        _menu_entry("Orrery release notes", "release-notes"),
        _menu_entry("Orrery support", "support"),
    ]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:
        """Return the footer and the pages; what was not built (no Node) is told once.

        The pages of access are there where our auth manager is. 'Access' stands in the menu bar itself:
        Airflow shows its menu 'Admin' by a rule of its own, which knows nothing of people and teams.
        """
        from airflow.configuration import conf  # noqa: PLC0415 - only the API server asks

        from orrery.ui import bundle  # noqa: PLC0415

        places: list[tuple[bundle.Bundle, dict[str, str]]] = [
            (bundle.FOOTER, {"destination": "base"}),
            (
                bundle.WORKERS,
                {
                    "destination": "nav",
                    "category": "admin",
                    "url_route": "workers",
                    **_icons(_WORKERS_ICON),
                },
            ),
        ]
        if conf.get("core", "auth_manager", fallback="") == _AUTH_MANAGER:
            icons = _icons(_ACCESS_ICON)
            places += [
                (bundle.ACCESS, {"destination": "nav", "url_route": "access", **icons}),
                (
                    bundle.MY_ACCESS,
                    {"destination": "nav", "category": "user", "url_route": "my-access", **icons},
                ),
            ]
        missing = sorted({each.path.name for each, _ in places if each.digest is None})
        if missing:
            log.warning(
                "Orrery's part of the interface is not shown: %s missing in %s. "
                "Install Node.js and run `make setup`.",
                " and ".join(missing),
                bundle.FOLDER,
            )
        return [
            {
                "name": each.component,
                "bundle_url": f"{URL_PREFIX.lstrip('/')}/static/{each.path.name}?v={each.digest}",
                **place,
            }
            for each, place in places
            if each.digest is not None
        ]
