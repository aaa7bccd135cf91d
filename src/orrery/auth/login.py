"""What is mounted at /auth: short access tokens by password, the login page, sign-out.

`start_session` is how every way of signing in ends (password here, identity providers in `oidc`): it makes
the cookie, with a session id that is new at each sign-in.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode, urlsplit, urlunsplit

from airflow.api_fastapi.app import get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.core_api.security import is_safe_url
from airflow.configuration import conf
from fastapi import APIRouter, FastAPI, Form, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from orrery.auth import complaints, invitations, page, signin
from orrery.auth import request as requests
from orrery.auth.oidc import routes as oidc_routes

if TYPE_CHECKING:
    from orrery.auth.manager import OrreryAuthManager
    from orrery.auth.policy import Account

_WRONG = "Name and password do not fit."
#: PostgreSQL keeps no text with it.
_NO_NUL = r"^[^\x00]*$"
_FORM = """<form method="post" action="{action}">
<label>User name or e-mail address<input name="username" required autocomplete="username"
 autocapitalize="none" spellcheck="false" maxlength="250" value="{username}"{focus}></label>
<label>Password<input name="password" type="password" required autocomplete="current-password"
 maxlength="1024"></label>
<button>Sign in</button>
</form>
"""


class Credentials(BaseModel):
    """A name, or an e-mail address, and a password."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=250, pattern=_NO_NUL)
    password: str = Field(min_length=1, max_length=1024, repr=False)


class AccessToken(BaseModel):
    """A short access token, as Airflow's clients expect it."""

    access_token: str = Field(repr=False)


def create_app(manager: OrreryAuthManager) -> FastAPI:
    """Build the application."""
    app = FastAPI(title="Orrery access", docs_url=None, redoc_url=None)
    app.state.manager = manager
    complaints.install(app)
    app.include_router(_tokens(manager))
    app.include_router(_pages(manager))
    app.include_router(invitations.router(manager, start_session))
    return app


def _tokens(manager: OrreryAuthManager) -> APIRouter:
    router = APIRouter(tags=["Sign-in"])

    async def access_token(request: Request) -> AccessToken:
        """Return a short access token for a name and a password, as JSON or as a form."""
        return await _access_token(manager, request, for_cli=False)

    async def cli_token(request: Request) -> AccessToken:
        """Return an access token for a command line: it lives shorter."""
        return await _access_token(manager, request, for_cli=True)

    body = {
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": Credentials.model_json_schema()}
                for kind in ("application/json", "application/x-www-form-urlencoded")
            },
        }
    }
    answers: dict[int | str, dict[str, str]] = {
        401: {"description": _WRONG},
        415: {"description": "Neither JSON nor a form."},
        422: {"description": "A name and a password are needed."},
        429: {"description": "Too many sign-ins failed."},
    }
    for path, route in (("/token", access_token), ("/token/cli", cli_token)):
        router.add_api_route(
            path, route, methods=["POST"], status_code=201, openapi_extra=body, responses=answers
        )
    return router


async def _access_token(manager: OrreryAuthManager, request: Request, *, for_cli: bool) -> AccessToken:
    given = await _credentials(request)
    account = await run_in_threadpool(signed_in, manager, given.username, given.password)
    user = manager.user_of(account)
    seconds = manager.access_token_seconds(for_cli=for_cli)
    return AccessToken(access_token=manager.generate_jwt(user, expiration_time_in_seconds=seconds))


async def _credentials(request: Request) -> Credentials:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return Credentials.model_validate(await request.json())
        if kind == "application/x-www-form-urlencoded":
            async with request.form(max_files=0, max_fields=20) as form:
                return Credentials.model_validate({name: form.get(name) for name in ("username", "password")})
    except (ValidationError, ValueError) as error:
        raise HTTPException(422, "A name and a password are needed.") from error
    raise HTTPException(415, "Send JSON or a form.")


def signed_in(manager: OrreryAuthManager, username: str, password: str) -> Account:
    """Return the account of a name and a password.

    Raises:
        HTTPException: 401 they do not fit; 429 too many sign-ins failed, with `Retry-After`.
    """
    try:
        return signin.sign_in(manager.cache.policy, username, password, address=requests.address())
    except signin.SignInError as error:
        raise HTTPException(401, _WRONG) from error
    except signin.TooManyAttemptsError as error:
        seconds = error.retry_after
        raise HTTPException(
            429,
            f"Too many sign-ins failed. Try again in {-(-seconds // 60)} minutes.",
            headers={"Retry-After": str(seconds)},
        ) from error


def is_secure(request: Request) -> bool:
    """Tell whether browsers reach us by https, so that the cookie may be sent by that only."""
    base = str(conf.get("api", "base_url", fallback=""))
    return (
        request.url.scheme == "https"
        or base.startswith("https://")
        or bool(conf.get("api", "ssl_cert", fallback=""))
    )


def start_session(
    manager: OrreryAuthManager,
    request: Request,
    response: Response,
    account: Account,
    *,
    provider: str | None = None,
) -> None:
    """Sign somebody in: put the cookie of a new session on the response, whatever cookie came."""
    token = manager.generate_jwt(manager.new_session(account, provider=provider))
    response.set_cookie(
        COOKIE_NAME_JWT_TOKEN,
        token,
        path=get_cookie_path(),
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "no-store"


def end_session(manager: OrreryAuthManager, request: Request, response: Response) -> None:
    """Sign a browser out: void its session on every API server, and remove the cookie."""
    if token := request.cookies.get(COOKIE_NAME_JWT_TOKEN):
        manager.revoke_token(token)
    for path in {get_cookie_path(), "/"}:
        response.delete_cookie(
            COOKIE_NAME_JWT_TOKEN, path=path, secure=is_secure(request), httponly=True, samesite="lax"
        )
    response.headers["Cache-Control"] = "no-store"


def next_page(request: Request, wanted: str | None) -> str:
    """Return where to go after signing in: a page of this deployment, or its first."""
    base = str(conf.get("api", "base_url", fallback="/")) or "/"
    return wanted if wanted and is_safe_url(wanted, request=request) else base


def _pages(manager: OrreryAuthManager) -> APIRouter:
    router = APIRouter(tags=["Login page"])
    ways = oidc_routes.ways_of(manager)
    ways.look()

    def login_page(
        request: Request, *, complaint: str = "", status: int = 200, username: str = ""
    ) -> Response:
        # Providers send people back to below /auth/oidc/PROVIDER/: from there too the page's links must fit.
        up = "../" * request.url.path.partition("/auth/")[2].count("/")
        wanted = request.query_params.get("next")
        suffix = f"?{urlencode({'next': wanted})}" if wanted else ""
        links = "".join(
            f'<a class="way" href="{up}oidc/{each["id"]}/login{escape(suffix)}">{escape(each["title"])}</a>\n'
            for each in ways.listed()
        )
        where = str(conf.get("api", "instance_name", fallback="")) or manager.settings.place.deployment
        if request.query_params.get("signed_out") and not complaint:
            where = f"{where}: you are signed out."
        form = _FORM.format(
            action=escape(f"{up}login{suffix}"),
            username=escape(username),
            focus="" if username else " autofocus",
        )
        body = form + (f'<p class="or">or</p>\n{links}' if links else "")
        return page.page("Sign in", body, lead=where, complaint=complaint, status=status)

    def show(request: Request) -> Response:
        """Show the login page."""
        return login_page(request)

    def submit(
        request: Request,
        username: Annotated[str, Form(max_length=250, pattern=_NO_NUL)],
        password: Annotated[str, Form(max_length=1024)],
        next: str | None = None,  # noqa: A002 - Airflow's name of it
    ) -> Response:
        """Sign in by the page's form."""
        try:
            account = signed_in(manager, username, password)
        except HTTPException as error:
            refused = login_page(
                request, complaint=str(error.detail), status=error.status_code, username=username
            )
            refused.headers.update(error.headers or {})
            return refused
        # Without a host: the cookie is of the name that the browser used, and a form leads nowhere else.
        there = urlsplit(next_page(request, next))
        here = urlunsplit(("", "", "/" + there.path.lstrip("/\\"), there.query, there.fragment))
        response = RedirectResponse(here, status_code=303)
        start_session(manager, request, response, account)
        return response

    def log_out(request: Request) -> Response:
        """Sign out here, and at the identity provider that the session came from; show the login page."""
        there = ways.sign_out_address(request.cookies.get(COOKIE_NAME_JWT_TOKEN))
        response = RedirectResponse(there or f"{manager.get_url_login()}?signed_out=true", status_code=303)
        end_session(manager, request, response)
        return response

    def ways_to_sign_in() -> JSONResponse:
        """Return the ways of signing in, and whether all of them work."""
        listed = ways.listed()
        is_well = all(each["state"] in ("ready", "unknown") for each in listed)
        status = "healthy" if is_well else "degraded"
        return JSONResponse({"password": True, "providers": listed, "status": status})

    router.add_api_route("/login", show, methods=["GET"], response_model=None)
    router.add_api_route("/login", submit, methods=["POST"], response_model=None)
    router.add_api_route("/logout", log_out, methods=["GET"], response_model=None)
    router.add_api_route("/ways", ways_to_sign_in, methods=["GET"], response_model=None)
    router.include_router(
        oidc_routes.router(
            manager, ways, start_session=start_session, next_page=next_page, login_page=login_page
        )
    )
    return router
