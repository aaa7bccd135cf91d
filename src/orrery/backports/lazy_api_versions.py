"""The execution API's older versions are made when a client asks for one, not at the first request of all.

Airflow keeps nine versions of its execution API for task runners of earlier releases. At its first request
Cadwyn makes the routes and models of all of them: seconds of CPU, in which a process answers nobody, and
some 45 MB, in the API server, and in the DAG processor once a DAG file asks for a variable. Task runners of
the same release ask for the newest, which is made alone first. Whoever asks for another one gets it, as
before: all are made then, by Cadwyn's own code.

Private names of Cadwyn used here: `Cadwyn._cadwyn_initialize`, `_cadwyn_initialized`,
`_latest_version_router`, `_dependency_overrides_provider`, `_api_version_location`, `_add_versioned_routers`
and `_kwargs_to_router`, its router's `versioned_routers`, and the tag of routes that only older ones have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def apply(applications: ModuleType) -> None:
    """Mend `cadwyn.applications`."""

    def initialize(original: Callable[[Any], None]) -> Callable[[Any], None]:
        def initialize_newest(self: Any) -> None:
            versions = self.versions
            # What Airflow does not have is not thought of here.
            is_other = (
                self.api_version_format != "date" or self.webhooks.routes or versions.head_version.changes
            )
            if is_other or len(versions.versions) < 2:
                original(self)
                return
            router, newest = self.router, versions.versions[0].value
            routes_before = list(router.routes)

            def make_all() -> dict[str, Any]:
                whole = dict(on_demand)
                whole[newest] = type(on_demand[newest])(**self._kwargs_to_router)
                routes_so_far, router.routes[:] = list(router.routes), routes_before
                router.versioned_routers = whole
                try:
                    original(self)
                except BaseException:
                    router.routes[:], router.versioned_routers = routes_so_far, on_demand
                    raise
                return whole

            on_demand = OnDemand(router.versioned_routers, newest, make_all)
            made = _newest_of(self)
            router.versioned_routers = on_demand
            self._add_versioned_routers(made, version=newest)
            self._cadwyn_initialized = True

        return initialize_newest

    wrap(applications.Cadwyn, "_cadwyn_initialize", initialize)


def _newest_of(app: Any) -> Any:
    """Return the routes of the newest version, made as those of an API that has no other."""
    from cadwyn import route_generation  # noqa: PLC0415 - not before Cadwyn itself is loaded
    from cadwyn.structure import HeadVersion, Version, VersionBundle  # noqa: PLC0415 - likewise

    newest = app.versions.versions[0].value
    # A copy: what is made from these later must find them untouched.
    router = route_generation.copy_router(app._latest_version_router)
    only_older = route_generation._DELETED_ROUTE_TAG
    router.routes = [route for route in router.routes if only_older not in getattr(route, "tags", ())]
    for route in router.routes:
        if hasattr(route, "dependency_overrides_provider"):  # the copy has one that nobody knows
            route.dependency_overrides_provider = app._dependency_overrides_provider
    alone = VersionBundle(HeadVersion(), Version(newest), api_version_var=app.versions.api_version_var)
    made = route_generation.generate_versioned_routers(
        router,
        alone,
        api_version_parameter_name=app.api_version_parameter_name,
        api_version_location=app._api_version_location,
    )
    return made.endpoints[newest]


class OnDemand(dict[str, Any]):
    """Routers by version, of which only the newest's is made. The first look at another one replaces this."""

    def __init__(self, routers: dict[str, Any], newest: str, make_all: Callable[[], dict[str, Any]]) -> None:
        super().__init__(routers)
        self._newest = newest
        self._make_all = make_all

    def __getitem__(self, version: str) -> Any:
        """Return the router of a version, after making all if it is not the newest's."""
        if version == self._newest or version not in self:
            return super().__getitem__(version)
        return self._make_all()[version]
