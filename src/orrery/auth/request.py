"""What one HTTP request is about, for all that answers it: from where it comes, what was asked of Dags.

A middleware of ours puts it there. Airflow solves a route's dependencies in threads of their own, which see
the same object.
"""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(slots=True)
class RequestState:
    """Of one request."""

    address: str | None = None
    method: str = ""
    path: str = ""
    #: Permissions that were asked on Dags, and given; lists show those Dags only on which all of them hold.
    asked: set[str] = field(default_factory=set)


_CURRENT: ContextVar[RequestState | None] = ContextVar("orrery_request", default=None)


def current() -> RequestState | None:
    """Return the present request; None outside of one."""
    return _CURRENT.get()


def address() -> str | None:
    """Return from where the present request comes, as it is counted: of IPv6 the network of one customer."""
    state = _CURRENT.get()
    return None if state is None else state.address


class AccessMiddleware:
    """Notes what a request is about, and refuses what another site makes a browser send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if is_forged(scope["method"], scope["path"], headers):
            refused = JSONResponse({"detail": "This request came from another site."}, status_code=403)
            await refused(scope, receive, send)
            return
        client = scope.get("client")
        state = RequestState(_network(client[0]) if client else None, scope["method"], scope["path"])
        token = _CURRENT.set(state)
        try:
            await self._app(scope, receive, send)
        finally:
            _CURRENT.reset(token)


def is_forged(method: str, path: str, headers: dict[str, str]) -> bool:
    """Tell whether a browser sends this for another site, with our cookie or to sign somebody in.

    Programs send neither header and no cookie. A browser sends at least one of them with all that writes.
    """
    if method in _SAFE or "authorization" in headers:
        return False
    if "cookie" not in headers and not path.endswith(("/login", "/token", "/invitation")):
        return False
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()


def _network(host: str) -> str:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
