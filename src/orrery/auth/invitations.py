"""Accepting an invitation: a page at `/auth/invitation`, on which somebody chooses a name and a password.

The secret stands in the link's fragment (`/auth/invitation#orrery_inv_...`), which no browser sends: it gets
into no log of a server or proxy, nor into a `Referer`. A script of two lines, the only one that the page's
policy lets run, moves it into the form and out of the address bar; without scripts people paste it. From
there it travels in the body of a POST.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.utils.session import create_session
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from orrery.auth import page, recorder, store, tokens
from orrery.auth import request as requests
from orrery.auth.changes import Change, ChangeError
from orrery.auth.policy import Rights, scope_of
from orrery.auth.roles import PrincipalKind, exceeds
from orrery.auth.signin import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import Session

    from orrery.auth.manager import OrreryAuthManager
    from orrery.auth.policy import Account, Policy
    from orrery.auth.roles import Role, Scope

#: Attempts from one address in that time that failed.
MOST_OF_ADDRESS: Final = 20

_INVALID: Final = (
    "This invitation is not valid. It may have been used, withdrawn, or be over: ask whoever invited you"
    " for another one."
)


class InvalidInvitationError(Exception):
    """There is no such invitation, or it is used, over, or above what its giver may still give."""


@dataclass
class TooManyInvitationsError(Exception):
    """Too many failed from there; `retry_after` seconds from now it may be tried again."""

    retry_after: int


def accept(
    manager: OrreryAuthManager, secret: str, *, username: str, full_name: str, password: str
) -> Account:
    """Use an invitation up: make its account, with its role, and return it. All of it or nothing.

    Raises:
        InvalidInvitationError: it is none.
        TooManyInvitationsError: it has to wait.
        ChangeError: the name or the password cannot be; the invitation stays.
    """
    now = datetime.now(UTC)
    address = requests.address()
    key = f"invitation:{address or 'unknown'}"
    _count(key, now)
    try:
        with create_session(scoped=False) as session:
            store.lock_policy(session)
            policy = store.load_policy_here(session, manager.settings.place)
            found = _taken(session, secret, now)
            account_id, name = _account(
                session, policy, found, username=username, full_name=full_name, password=password
            )
            store.record(
                session,
                "invitation.accepted",
                now=now,
                actor=name,
                subject=found["email"],
                address=address,
                invited_by=found["created_by"],
                role=found["role"],
            )
            store.note_address(session, account_id, address or "unknown", now)
            store.take_back_attempt(session, [key])
    except InvalidInvitationError:
        recorder.write("invitation.failed", actor=None, address=address)
        raise
    return manager.cache.refresh().accounts[account_id]


def _taken(session: Session, secret: str, now: datetime) -> Mapping[str, Any]:
    found = store.take_invitation(session, tokens.hashed(secret), now)
    if found is None:
        raise InvalidInvitationError
    return found


def _account(
    session: Session,
    policy: Policy,
    found: Mapping[str, Any],
    *,
    username: str,
    full_name: str,
    password: str,
) -> tuple[str, str]:
    """Make the account of an invitation and give it its role; return its id and name."""
    given = _role_to_give(policy, found)
    change = Change(session, policy, found["created_by"], "", Rights((), None, policy.place))
    account_id = change.create_account(
        username=username, email=found["email"], full_name=full_name.strip() or None, password=password
    )
    name = username.strip().lower()
    if given is not None:
        role, scope = given
        store.create_binding(
            session,
            kind=PrincipalKind.USER,
            principal=account_id,
            role=role.name,
            scope=scope,
            created_by=found["created_by"],
            now=change.now,
        )
    return account_id, name


def _role_to_give(policy: Policy, found: Mapping[str, Any]) -> tuple[Role, Scope] | None:
    """Return the role of an invitation: its giver must still be there, and have all that is in it."""
    giver = policy.find(found["created_by"])
    if giver is None or not giver.is_active:
        raise InvalidInvitationError
    scope = scope_of(found["scope_kind"], found["scope_name"])
    if found["role"] is None or scope is None:
        return None
    role = policy.roles.get(found["role"])
    if role is None or exceeds(role, scope, policy.grants(giver.id), place=policy.place) is not None:
        raise InvalidInvitationError
    return role, scope


def _count(key: str, now: datetime) -> None:
    with create_session(scoped=False) as session:
        count, since = store.count_attempt(session, key, window=WINDOW, now=now)
    if count > MOST_OF_ADDRESS:
        raise TooManyInvitationsError(max(1, int((since + WINDOW - now).total_seconds())))


def router(manager: OrreryAuthManager, start_session: Callable[..., None]) -> APIRouter:
    """Return the routes of the page; `start_session` is how every way of signing in ends."""
    routes = APIRouter(tags=["Invitations"])

    def show() -> Response:
        """Show the page on which an invitation is accepted."""
        return _page()

    def submit(
        request: Request,
        token: Annotated[str, Form(max_length=250)],
        username: Annotated[str, Form(max_length=250)],
        password: Annotated[str, Form(max_length=1024)],
        full_name: Annotated[str, Form(max_length=250)] = "",
    ) -> Response:
        """Accept an invitation, and sign in."""
        kept = {"token": token.strip(), "username": username, "full_name": full_name}
        if any("\x00" in each for each in (*kept.values(), password)):
            return _page("That cannot be read.", status=422)
        if not password:
            return _page("Choose a password.", status=422, **kept)
        try:
            account = accept(
                manager, kept["token"], username=username, full_name=full_name, password=password
            )
        except InvalidInvitationError:
            return _page(_INVALID, status=403, username=username, full_name=full_name)
        except TooManyInvitationsError as error:
            minutes = -(-error.retry_after // 60)
            response = _page(f"Too many attempts failed. Try again in {minutes} minutes.", status=429, **kept)
            response.headers["Retry-After"] = str(error.retry_after)
            return response
        except ChangeError as error:
            return _page(error.message, status=error.status, **kept)
        # A path alone: the page's policy lets a form lead nowhere else, whatever name the browser used.
        home = urlsplit(str(conf.get("api", "base_url", fallback="/"))).path or "/"
        response = RedirectResponse(home, status_code=303)
        start_session(manager, request, response, account)
        return response

    routes.add_api_route("/invitation", show, methods=["GET"], response_model=None)
    routes.add_api_route("/invitation", submit, methods=["POST"], response_model=None)
    return routes


# -- the page -----------------------------------------------------------------------------------

_SCRIPT: Final = """
const code = document.getElementById("token"), secret = location.hash.slice(1);
if (secret) { code.value = secret; history.replaceState(null, "", location.pathname); }
if (code.value) document.getElementById("code").hidden = true;
"""
_FORM: Final = """<form method="post" autocomplete="on">
<label id="code">Invitation code<input id="token" name="token" required autocomplete="off"
 spellcheck="false" maxlength="250" value="{token}"></label>
<label>User name<small>Small letters, digits and . _ @ + -</small><input name="username" required
 autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="100" value="{username}"></label>
<label>Your name<input name="full_name" autocomplete="name" maxlength="250" value="{full_name}"></label>
<label>Password<small>12 characters or more: a few words are best.</small><input name="password"
 type="password" required autocomplete="new-password" minlength="12" maxlength="1024"></label>
<button>Accept and sign in</button>
</form>"""


def _page(
    complaint: str = "", *, status: int = 200, token: str = "", username: str = "", full_name: str = ""
) -> Response:
    return page.page(
        "Accept your invitation",
        _FORM.format(token=escape(token), username=escape(username), full_name=escape(full_name)),
        lead="Choose how you will sign in.",
        complaint=complaint,
        status=status,
        script=_SCRIPT,
    )
