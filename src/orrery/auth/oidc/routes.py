"""`/auth/oidc/PROVIDER/login` and `/callback`: to an identity provider, and back."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import jwt
from airflow.api_fastapi.app import get_cookie_path
from airflow.configuration import conf
from airflow.utils.session import create_session
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from orrery.auth import recorder, store
from orrery.auth import request as requests
from orrery.auth.oidc import flow as flows
from orrery.auth.oidc.accounts import NotWelcomeError, account_of
from orrery.auth.oidc.claims import ClaimError
from orrery.auth.oidc.directory import Directory, ProviderError, State
from orrery.auth.signin import WINDOW
from orrery.config.address import is_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orrery.auth.manager import OrreryAuthManager
    from orrery.auth.oidc.flow import Flow
    from orrery.auth.provider import Provider

log = logging.getLogger(__name__)

#: What people are told. Why it was, the log says.
_AWAY: Final = "The identity provider cannot be reached. Try again in a minute, or sign in with a password."
_WRONG: Final = (
    "The identity provider answered something that this deployment cannot accept."
    " An administrator finds why in the log of the api-server."
)
_OVER: Final = "This sign-in is over, or was begun in another browser. Please try again."
_REFUSED: Final = "The identity provider did not sign you in."
_UNKNOWN: Final = (
    "The identity provider knows you, but you have no access to this deployment. Ask an administrator."
)
_STRANGER: Final = "There is no such identity provider here."
_MANY: Final = "Too many sign-ins failed. Try again in a quarter of an hour."

#: Attempts from one address that fail, in the time that passwords have too.
MOST_OF_ADDRESS: Final = 100


class SignInError(Exception):
    """A sign-in ended badly. `told` is for people, the message for the log and the audit.

    What anybody can send without having begun a sign-in is not in the audit (`is_known` false): it would
    grow as fast as they like.
    """

    def __init__(self, message: str, told: str, status: int, *, is_known: bool = True) -> None:
        super().__init__(message)
        self.told = told
        self.status = status
        self.is_known = is_known


@dataclass(frozen=True)
class Ways:
    """The providers of a deployment."""

    directories: Mapping[str, Directory]
    #: Where providers send browsers back to; None: the deployment does not know its own address.
    base_url: str | None
    started: list[threading.Thread] = field(default_factory=list)

    def look(self) -> None:
        """Ask all providers who they are, while the server starts: it waits for none of them."""
        for directory in self.directories.values():
            thread = threading.Thread(target=_look_at, args=(directory,), name="orrery-oidc", daemon=True)
            thread.start()
            self.started.append(thread)

    def listed(self) -> list[dict[str, str]]:
        """Return what the login page and `/auth/ways` say."""
        return [
            {
                "id": each.provider.id,
                "title": each.provider.title,
                "state": str(each.state if self.base_url else State.WRONG),
            }
            for each in self.directories.values()
        ]

    def redirect_uri(self, provider: Provider) -> str:
        """Return where a provider sends browsers back to: by the settings alone, whatever a request says.

        Raises:
            SignInError: the deployment does not know its own address.
        """
        if self.base_url is None:
            why = "[api] base_url is no address that starts with https:// (http:// on loopback only)"
            raise SignInError(why, _WRONG, 503, is_known=False)
        return f"{self.base_url}/auth/oidc/{provider.id}/callback"

    def sign_out_address(self, cookie: str | None) -> str | None:
        """Return where to go on to, so that a session ends at its provider too (RP-initiated logout 1.0)."""
        directory = self.directories.get(_provider_of(cookie) or "")
        known = directory.known if directory else None
        if directory is None or known is None or known.end_session_endpoint is None or self.base_url is None:
            return None
        query = {
            "client_id": directory.provider.client_id,
            "post_logout_redirect_uri": f"{self.base_url}/auth/login",
        }
        separator = "&" if "?" in known.end_session_endpoint else "?"
        return f"{known.end_session_endpoint}{separator}{urlencode(query)}"


def _look_at(directory: Directory) -> None:
    try:
        directory.metadata()
    except ProviderError as error:
        log.warning("Single sign-on is degraded; passwords work: %s", error)


def _provider_of(cookie: str | None) -> str | None:
    """Return the provider that a session came from. Unchecked: it only chooses where a sign-out goes."""
    try:
        found = jwt.decode(cookie or "", options={"verify_signature": False}).get("idp")
    except jwt.InvalidTokenError:
        return None
    return found if isinstance(found, str) else None


def ways_of(manager: OrreryAuthManager) -> Ways:
    """Return the providers that the settings name."""
    base = str(conf.get("api", "base_url", fallback="")).rstrip("/")
    providers = manager.settings.providers
    if providers and not is_safe(base):
        log.error(
            "Single sign-on needs [api] base_url: https://... (http:// on loopback only), not '%s'", base
        )
    return Ways({each.id: Directory(each) for each in providers}, base if is_safe(base) else None)


def router(
    manager: OrreryAuthManager,
    ways: Ways,
    *,
    start_session: Callable[..., None],
    next_page: Callable[[Request, str | None], str],
    login_page: Callable[..., Response],
) -> APIRouter:
    """Return the routes. `login_page` shows a complaint."""
    routes = APIRouter(tags=["Single sign-on"])

    def begin(
        request: Request,
        provider: str,
        next: str | None = None,  # noqa: A002 - Airflow's name of it
        moved: bool = False,
    ) -> Response:
        """Send a browser to an identity provider."""
        try:
            directory = _directory(ways, provider)
            redirect_uri = ways.redirect_uri(directory.provider)
            if urlsplit(redirect_uri).netloc != request.url.netloc and not moved:
                # It will come back under the deployment's own name: the cookie must be of that one.
                query = urlencode({"moved": "true", "next": next_page(request, next)})
                return RedirectResponse(f"{redirect_uri.removesuffix('callback')}login?{query}", 303)
            flow = flows.begin(directory.provider, next_page(request, next))
            try:
                address = flows.address(flow, directory.provider, directory.metadata(), redirect_uri)
            except ProviderError as error:
                raise _failed(error, is_known=False) from error
        except SignInError as error:
            return _refused(request, provider, error, login_page)
        response = RedirectResponse(address, status_code=303)
        response.set_cookie(
            flow.cookie,
            flow.sealed(_secret()),
            max_age=flows.LIFE_SECONDS,
            path=_cookie_path(),
            secure=redirect_uri.startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def callback(request: Request, provider: str, state: str = "", code: str = "") -> Response:
        """Take a browser back from an identity provider, and sign it in."""
        try:
            directory = _directory(ways, provider)
            flow = _flow(request, provider, state)
            _check_answer(directory, request, code)
            account_id = _account(manager, ways, directory, flow, code)
            account = manager.cache.refresh().accounts[account_id]
            with create_session(scoped=False) as session:
                store.take_back_attempt(session, [_key_of_address()])
        except SignInError as failure:
            response = _refused(request, provider, failure, login_page)
        else:
            response = RedirectResponse(next_page(request, flow.next_page), status_code=303)
            start_session(manager, request, response, account, provider=provider)
        response.delete_cookie(flows.cookie_of(state), path=_cookie_path())
        return response

    routes.add_api_route("/oidc/{provider}/login", begin, methods=["GET"], response_model=None)
    routes.add_api_route("/oidc/{provider}/callback", callback, methods=["GET"], response_model=None)
    return routes


def _directory(ways: Ways, provider: str) -> Directory:
    directory = ways.directories.get(provider)
    if directory is None:
        raise SignInError("there is no such provider", _STRANGER, 404, is_known=False)
    return directory


def _check_answer(directory: Directory, request: Request, code: str) -> None:
    """Check what a provider sends back: that it is this one (RFC 9207), and that it is a code."""
    known = directory.known
    iss, error = request.query_params.get("iss"), request.query_params.get("error")
    if iss is not None and iss != directory.provider.issuer:
        raise SignInError(f"it came from {iss[:200]!r}", _WRONG, 403)
    if iss is None and known is not None and known.says_issuer:
        raise SignInError("it does not say its issuer", _WRONG, 403)
    if error is not None or not code:
        why = f"the provider said {(error or 'no code')[:100]!r}"
        raise SignInError(why, _REFUSED, 403)


def _flow(request: Request, provider: str, state: str) -> Flow:
    """Return the sign-in that this browser has begun; it can be ended once."""
    found = flows.opened(
        request.cookies.get(flows.cookie_of(state)), _secret(), provider=provider, state=state
    )
    if found is None:
        raise SignInError("this browser has begun no such sign-in", _OVER, 403, is_known=False)
    now = datetime.now(UTC)
    with create_session(scoped=False) as session:
        failed, _ = store.count_attempt(session, _key_of_address(), window=WINDOW, now=now)
        times, _ = store.count_attempt(session, f"flow:{found.state}", window=timedelta(days=1), now=now)
    if failed > MOST_OF_ADDRESS:
        raise SignInError("too many failed from there", _MANY, 429, is_known=False)
    if times > 1:
        raise SignInError("its state was used before", _OVER, 403)
    return found


def _account(manager: OrreryAuthManager, ways: Ways, directory: Directory, flow: Flow, code: str) -> str:
    provider = directory.provider
    try:
        identity = flows.finish(flow, code, directory, ways.redirect_uri(provider))
        if not identity.has_groups:
            log.warning(
                "'%s' says nothing of groups in '%s': nobody is in any", provider.id, provider.groups_claim
            )
        return account_of(provider, identity, place=manager.settings.place, address=requests.address())
    except ProviderError as error:
        raise _failed(error) from error
    except ClaimError as error:
        raise SignInError(f"its ID token: {error}", _WRONG, 403) from error
    except NotWelcomeError as error:
        raise SignInError(str(error), _UNKNOWN, 403) from error


def _failed(error: ProviderError, *, is_known: bool = True) -> SignInError:
    is_away = error.state is State.UNREACHABLE
    told = _AWAY if is_away else _WRONG
    return SignInError(str(error), told, 503 if is_away else 502, is_known=is_known)


def _refused(
    request: Request, provider: str, error: SignInError, login_page: Callable[..., Response]
) -> Response:
    log.warning("A sign-in by %r failed: %s", provider[:100], error)
    if error.is_known:
        recorder.write(
            "sign-in.failed", actor=None, address=requests.address(), provider=provider, why=str(error)[:200]
        )
    return login_page(request, complaint=error.told, status=error.status)


def _key_of_address() -> str:
    return f"oidc:{requests.address() or 'unknown'}"


def _cookie_path() -> str:
    return f"{get_cookie_path().rstrip('/')}/auth/oidc"


def _secret() -> str:
    # Airflow's own for what a browser keeps: the same on every API server.
    return str(conf.get_mandatory_value("api", "secret_key"))
