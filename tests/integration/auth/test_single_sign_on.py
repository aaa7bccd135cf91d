"""Signing in by OpenID Connect: at a provider that others wrote, and at one that misbehaves."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests import oidc_server
from tests.integration.auth import identity_provider
from tests.integration.auth.conftest import OWNER, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.integration.auth.identity_provider import IdentityProvider

pytestmark = pytest.mark.integration


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    yield from identity_provider.serve()


Deploy: TypeAlias = "Callable[..., Deployment]"


class Deployment:
    """What is mounted at /auth, on the real database, with identity providers."""

    def __init__(self, manager: Any, providers: list[Any]) -> None:
        from fastapi import FastAPI

        from orrery.auth.login import create_app
        from orrery.auth.manager import OrreryAuthManager
        from orrery.auth.request import AccessMiddleware

        self.manager = OrreryAuthManager()
        self.manager.__dict__["settings"] = dataclasses.replace(manager.settings, providers=tuple(providers))
        self.manager.__dict__["cache"] = manager.cache
        self._app = FastAPI()
        self._app.mount("/auth", create_app(self.manager))
        self._app.add_middleware(AccessMiddleware)

    def browser(self) -> Any:
        """A browser that nobody has signed in."""
        from fastapi.testclient import TestClient

        return TestClient(self._app, base_url="http://localhost:8080", follow_redirects=False)

    def who(self, browser: Any) -> str | None:
        """The name that a browser is signed in with."""
        import asyncio

        from jwt import InvalidTokenError

        try:
            user = asyncio.run(self.manager.get_user_from_token(browser.cookies.get("_token") or "none"))
        except InvalidTokenError:
            return None
        return str(user.username)

    def groups(self, name: str) -> set[str]:
        policy = self.manager.cache.refresh()
        account = policy.find(name)
        assert account is not None
        return set(policy.groups.get(account.id, ()))

    def audited(self, event: str) -> Sequence[Mapping[str, Any]]:
        from airflow.utils.session import create_session

        from orrery.auth import store

        with create_session(scoped=False) as session:
            return store.read_audit(session, limit=20, event=event)


@pytest.fixture
def deploy(
    airflow_app: Any, tokens: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Deployment]:
    """Return a function that makes a deployment with a provider 'company' at an issuer."""
    from orrery.auth.provider import Provider

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://localhost:8080")
    secret = tmp_path / "secret"
    secret.write_text(identity_provider.SECRET + "\n")

    def made(*issuers: str, **settings: Any) -> Deployment:
        ids = ("company", "partner")
        given: dict[str, Any] = {
            "title": "Company",
            "client_id": "orrery",
            "client_secret_file": secret,
        } | settings
        providers = [
            Provider(id=id_, issuer=issuer, **given) for id_, issuer in zip(ids, issuers, strict=False)
        ]
        return Deployment(airflow_app.state.auth_manager, providers)

    del tokens  # people are there
    return made


def begun(browser: Any, provider: str = "company", **query: str) -> dict[str, str]:
    """Begin a sign-in and return what the provider is asked."""
    answer = browser.get(f"/auth/oidc/{provider}/login", params=query)
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def ended(browser: Any, asked: dict[str, str], code: str, provider: str = "company", **query: str) -> Any:
    """Come back from the provider."""
    query = {"code": code, "state": asked["state"], **query}
    return browser.get(f"/auth/oidc/{provider}/callback", params=query)


def signed_in(deployment: Deployment, idp: IdentityProvider, **claims: Any) -> tuple[Any, Any]:
    """Sign somebody in; return the browser and the last answer."""
    browser = deployment.browser()
    asked = begun(browser)
    return browser, ended(browser, asked, idp.code(asked, **claims))


# -- the good path ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_provider() -> Iterator[str]:
    """A provider that others wrote."""
    with oidc_server.serve(
        [{"sub": "grace", "preferred_username": "Grace.Hopper", "groups": ["admirals"]}]
    ) as url:
        yield url


def test_a_real_provider_signs_somebody_in(deploy: Deploy, real_provider: str) -> None:
    deployment = deploy(real_provider)
    browser = deployment.browser()
    there = browser.get("/auth/oidc/company/login", params={"next": "http://localhost:8080/dags"})
    allowed = httpx.post(there.headers["location"], data={"sub": "grace"}, trust_env=False)
    back = allowed.headers["location"]
    assert back.startswith("http://localhost:8080/auth/oidc/company/callback?")

    answer = browser.get(back)

    assert (answer.status_code, answer.headers["location"]) == (303, "http://localhost:8080/dags")
    assert deployment.who(browser) == "grace.hopper"
    assert deployment.groups("grace.hopper") == {"company:admirals"}
    assert browser.get(back).status_code == 403  # the code and the state, once more
    out = browser.get("/auth/logout")
    assert out.headers["location"].startswith(f"{real_provider}/")
    assert "post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fauth%2Flogin" in out.headers["location"]
    assert deployment.who(browser) is None


def test_the_request_asks_for_a_code_with_pkce(deploy: Deploy, idp: IdentityProvider) -> None:
    browser = deploy(idp.url).browser()
    answer = browser.get("/auth/oidc/company/login")
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://localhost:8080/auth/oidc/company/callback"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/auth/oidc" in cookie
    assert "max-age=600" in cookie


def test_a_second_sign_in_is_the_same_person_with_the_groups_of_now(
    deploy: Deploy, idp: IdentityProvider
) -> None:
    deployment = deploy(idp.url)
    signed_in(deployment, idp, sub="same", preferred_username="same")
    browser, _ = signed_in(deployment, idp, sub="same", preferred_username="other-name", groups=["crew"])
    assert deployment.who(browser) == "same"
    assert deployment.groups("same") == {"company:crew"}


def test_a_group_gives_what_is_bound_to_it(deploy: Deploy, idp: IdentityProvider) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import store
    from orrery.auth.roles import PrincipalKind, Scope, ScopeKind

    deployment = deploy(idp.url)
    with create_session(scoped=False) as session:
        store.create_binding(
            session,
            kind=PrincipalKind.GROUP,
            principal="company:gods",
            role="workspace-owner",
            scope=Scope(ScopeKind.WORKSPACE, "default"),
            created_by="test",
            now=datetime.now(UTC),
        )
    signed_in(deployment, idp, sub="zeus", preferred_username="zeus", groups=["gods"])
    signed_in(deployment, idp, sub="icarus", preferred_username="icarus", groups=["partner:gods", "gods2"])
    policy = deployment.manager.cache.refresh()

    def roles(name: str) -> set[str]:
        account = policy.find(name)
        assert account is not None
        return {grant.role.name for grant in policy.grants(account.id)}

    assert roles("zeus") == {"workspace-owner"}
    assert roles("icarus") == set()


def test_a_missing_claim_comes_from_the_user_information(deploy: Deploy, idp: IdentityProvider) -> None:
    idp.userinfo = {
        "sub": "thin",
        "groups": ["told"],
        "preferred_username": "thin",
        "iss": "https://evil.example",
    }
    deployment = deploy(idp.url)
    browser, answer = signed_in(deployment, idp, sub="thin", preferred_username=None, groups=None)
    assert answer.status_code == 303, answer.text
    assert deployment.who(browser) == "thin"
    assert deployment.groups("thin") == {"company:told"}


def test_keys_are_looked_for_again_when_a_new_one_signs(
    deploy: Deploy, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deploy(idp.url)
    assert signed_in(deployment, idp, sub="keys", preferred_username="keys")[1].status_code == 303
    idp.key = identity_provider.new_key("second")
    idp.published = [idp.key]
    # Not each token with a made-up key makes us ask.
    assert signed_in(deployment, idp, sub="keys")[1].status_code == 403
    assert idp.key_fetches == 1
    monkeypatch.setattr("orrery.auth.oidc.directory._PAUSE_SECONDS", 0.0)
    assert signed_in(deployment, idp, sub="keys")[1].status_code == 303
    assert idp.key_fetches == 2


# -- attacks ------------------------------------------------------------------------------------

FORGED = {
    "of another provider": {"iss": "https://evil.example"},
    "for somebody else": {"aud": "another-client"},
    "for several, to another": {"aud": ["orrery", "x"], "azp": "x"},
    "for several, to nobody": {"aud": ["orrery", "x"]},
    "of another sign-in": {"nonce": "of another"},
    "without a nonce": {"nonce": None},
    "over": {"exp": 1},
    "without an end": {"exp": None},
    "of the future": {"iat": 32503680000},
    "about nobody": {"sub": None},
    "about too much": {"sub": "x" * 300},
    "unsigned": {"algorithm": "none"},
    "signed by the public key": {"algorithm": "HS256"},
}


@pytest.mark.parametrize("claims", FORGED.values(), ids=FORGED)
def test_a_token_that_does_not_hold_signs_nobody_in(
    deploy: Deploy, idp: IdentityProvider, claims: dict[str, Any]
) -> None:
    deployment = deploy(idp.url)
    browser, answer = signed_in(deployment, idp, **claims)
    assert answer.status_code == 403
    assert "cannot accept" in answer.text
    assert deployment.who(browser) is None
    assert deployment.audited("sign-in.failed")[0]["detail"]["why"].startswith("its ID token")


def test_a_token_of_another_key_signs_nobody_in(deploy: Deploy, idp: IdentityProvider) -> None:
    idp.published = [identity_provider.new_key("first")]
    assert signed_in(deploy(idp.url), idp)[1].status_code == 403


def test_another_browser_cannot_end_what_this_one_has_begun(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    mine, theirs = deployment.browser(), deployment.browser()
    asked = begun(mine)
    code = idp.code(asked)
    begun(theirs)
    assert ended(theirs, asked, code).status_code == 403
    assert deployment.who(theirs) is None
    assert ended(mine, asked, code).status_code == 303


def test_a_state_counts_once_also_where_its_cookie_was_kept(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    browser = deployment.browser()
    asked = begun(browser)
    kept = {cookie.name: cookie.value for cookie in browser.cookies.jar}
    assert ended(browser, asked, idp.code(asked)).status_code == 303
    # Another API server, the same database.
    thief = deploy(idp.url).browser()
    for name, value in kept.items():
        thief.cookies.set(name, value)
    assert ended(thief, asked, idp.code(asked)).status_code == 403


def test_a_mixed_up_provider_is_noticed(deploy: Deploy, idp: IdentityProvider) -> None:
    for other in identity_provider.serve():
        other.metadata = {"authorization_response_iss_parameter_supported": True}
        deployment = deploy(idp.url, other.url)
        browser = deployment.browser()
        asked = begun(browser)
        # Begun at one, ended at the other: the state is of the first.
        assert ended(browser, asked, other.code(asked), provider="partner").status_code == 403
        asked = begun(browser)
        assert ended(browser, asked, idp.code(asked), iss=other.url).status_code == 403
        asked = begun(browser, provider="partner")
        assert ended(browser, asked, other.code(asked), provider="partner").status_code == 403  # no iss
        asked = begun(browser, provider="partner")
        assert ended(browser, asked, other.code(asked), provider="partner", iss=other.url).status_code == 303


def test_what_anybody_can_send_does_not_fill_the_audit(deploy: Deploy, idp: IdentityProvider) -> None:
    idp.is_away = True
    deployment = deploy(idp.url)
    browser = deployment.browser()
    before = deployment.audited("sign-in.failed")
    assert browser.get("/auth/oidc/nobody/login").status_code == 404
    assert browser.get("/auth/oidc/company/login").status_code == 503
    assert browser.get("/auth/oidc/company/callback?code=x&state=y").status_code == 403
    assert deployment.audited("sign-in.failed") == before


def test_failures_from_one_address_are_limited_and_successes_are_not(
    deploy: Deploy, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import store

    monkeypatch.setattr("orrery.auth.oidc.routes.MOST_OF_ADDRESS", 2)
    with create_session(scoped=False) as session:
        store.forget_attempts(session, ["oidc:testclient"])
    deployment = deploy(idp.url)
    try:
        for _ in range(4):
            assert signed_in(deployment, idp)[1].status_code == 303
        for status in (403, 403, 429):
            assert signed_in(deployment, idp, nonce="of another")[1].status_code == status
        assert signed_in(deployment, idp)[1].status_code == 429
    finally:
        with create_session(scoped=False) as session:
            store.forget_attempts(session, ["oidc:testclient"])


def test_it_leads_nowhere_else(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    for wanted in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"):
        browser = deployment.browser()
        asked = begun(browser, next=wanted)
        assert ended(browser, asked, idp.code(asked)).headers["location"] == "http://localhost:8080"


def test_the_host_of_a_request_is_not_believed(deploy: Deploy, idp: IdentityProvider) -> None:
    browser = deploy(idp.url).browser()
    answer = browser.get("/auth/oidc/company/login", headers={"Host": "evil.example"})
    assert answer.headers["location"].startswith("http://localhost:8080/auth/oidc/company/login?moved=true")
    answer = browser.get("/auth/oidc/company/login?moved=true", headers={"Host": "evil.example"})
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert asked["redirect_uri"] == "http://localhost:8080/auth/oidc/company/callback"


def test_a_sign_in_gets_a_session_of_its_own(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    browser = deployment.browser()
    browser.cookies.set("_token", "planted")
    asked = begun(browser)
    answer = ended(browser, asked, idp.code(asked))
    assert "_token=ey" in answer.headers["set-cookie"]


def test_names_of_here_are_nobody_elses(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    browser, _ = signed_in(deployment, idp, sub="thief", preferred_username=OWNER, email="thief@example.org")
    assert deployment.who(browser) == f"{OWNER}@company"


def test_an_address_joins_accounts_only_where_that_is_wished_and_verified(
    deploy: Deploy, idp: IdentityProvider
) -> None:
    deployment = deploy(idp.url)
    signed_in(deployment, idp, sub="first", preferred_username="joined", email="joined@example.org")
    said = {"preferred_username": "stranger", "email": "joined@example.org"}
    browser, _ = signed_in(deployment, idp, sub="second", **said)
    assert deployment.who(browser) == "stranger"

    deployment = deploy(idp.url, link_by_email=True)
    browser, _ = signed_in(deployment, idp, sub="third", **said | {"email_verified": False})
    assert deployment.who(browser) == "stranger@company"
    browser, _ = signed_in(deployment, idp, sub="fourth", **said)
    assert deployment.who(browser) == "joined"


def test_who_is_disabled_or_unknown_stays_out(deploy: Deploy, idp: IdentityProvider) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import store

    deployment = deploy(idp.url)
    signed_in(deployment, idp, sub="off", preferred_username="off")
    account = deployment.manager.cache.refresh().find("off")
    assert account is not None
    with create_session(scoped=False) as session:
        store.update_account(session, account.id, is_active=False)
    browser, answer = signed_in(deployment, idp, sub="off")
    assert (answer.status_code, deployment.who(browser)) == (403, None)
    assert "no access to this deployment" in answer.text

    _, answer = signed_in(
        deploy(idp.url, create_users=False), idp, sub="never seen", preferred_username="never"
    )
    assert answer.status_code == 403
    assert deployment.manager.cache.refresh().find("never") is None


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_provider_that_is_away_stops_only_itself(
    deploy: Deploy, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    idp.is_away = True
    deployment = deploy(idp.url)
    browser = deployment.browser()
    answer = browser.get("/auth/oidc/company/login")
    assert (answer.status_code, "provider cannot be reached" in answer.text) == (503, True)
    assert browser.get("/auth/ways").json() == {
        "password": True,
        "providers": [{"id": "company", "title": "Company", "state": "unreachable"}],
        "status": "degraded",
    }
    assert browser.post("/auth/login", data={"username": OWNER, "password": PASSWORD}).status_code == 303

    idp.is_away = False
    monkeypatch.setattr("orrery.auth.oidc.directory._PAUSE_SECONDS", 0.0)
    assert signed_in(deployment, idp, sub="back", preferred_username="back")[1].status_code == 303
    assert browser.get("/auth/ways").json()["status"] == "healthy"


WRONG = {
    "another issuer": {"issuer": "https://evil.example"},
    "no token endpoint": {"token_endpoint": None},
    "keys in the open": {"jwks_uri": "http://keys.example/"},
}


@pytest.mark.parametrize("metadata", WRONG.values(), ids=WRONG)
def test_a_provider_that_says_what_cannot_be_is_not_asked(
    deploy: Deploy, idp: IdentityProvider, metadata: dict[str, Any]
) -> None:
    idp.metadata = metadata
    browser = deploy(idp.url).browser()
    answer = browser.get("/auth/oidc/company/login")
    assert (answer.status_code, "cannot accept" in answer.text) == (502, True)
    assert browser.get("/auth/ways").json()["providers"][0]["state"] == "wrong"


def test_a_wrong_secret_is_told_to_the_log_alone(
    deploy: Deploy, idp: IdentityProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret").write_text("another")
    _, answer = signed_in(deploy(idp.url), idp)
    assert answer.status_code == 502
    assert "invalid_client" not in answer.text
    assert "invalid_client" in caplog.text
    assert identity_provider.SECRET not in caplog.text


def test_no_group_and_five_hundred_groups(deploy: Deploy, idp: IdentityProvider) -> None:
    deployment = deploy(idp.url)
    many = [f"group {number}" for number in range(500)]
    signed_in(deployment, idp, sub="many", preferred_username="many", groups=many)
    assert len(deployment.groups("many")) == 500
    browser, _ = signed_in(deployment, idp, sub="many", groups=None)
    assert deployment.groups("many") == set()
    assert deployment.who(browser) == "many"
    assert deployment.audited("sign-in.provider")[0]["detail"]["groups"] == "none said"


@pytest.mark.parametrize(("seconds", "status"), [(-40, 303), (40, 303), (-700, 403), (300, 403)])
def test_its_clock_may_be_off_by_a_minute(
    deploy: Deploy, idp: IdentityProvider, seconds: int, status: int
) -> None:
    now = int(time.time()) + seconds
    _, answer = signed_in(
        deploy(idp.url), idp, sub="clock", preferred_username="clock", iat=now, exp=now + 300
    )
    assert answer.status_code == status


def test_what_the_provider_refuses_is_told(deploy: Deploy, idp: IdentityProvider) -> None:
    browser = deploy(idp.url).browser()
    asked = begun(browser)
    answer = browser.get(
        "/auth/oidc/company/callback", params={"state": asked["state"], "error": "access_denied<script>"}
    )
    assert (answer.status_code, "provider did not sign you in." in answer.text) == (403, True)
    assert 'href="../../oidc/company/login"' in answer.text
    assert 'action="../../login"' in answer.text
    assert "<script>" not in answer.text


def test_without_an_address_of_its_own_it_signs_nobody_in(
    deploy: Deploy, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org")
    browser = deploy(idp.url).browser()
    assert browser.get("/auth/oidc/company/login").status_code == 503
    assert browser.get("/auth/ways").json()["providers"][0]["state"] == "wrong"


# -- the page -----------------------------------------------------------------------------------


def test_the_page_has_a_button_for_each_provider_and_says_what_is_wrong(
    deploy: Deploy, idp: IdentityProvider
) -> None:
    browser = deploy(idp.url, title="Sign in with <Company>").browser()
    answer = browser.get("/auth/login?next=/dags%22")
    assert "Sign in with &lt;Company&gt;" in answer.text
    assert 'href="oidc/company/login?next=%2Fdags%22"' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    answer = browser.post("/auth/login", data={"username": "<b>", "password": "wrong"})
    assert answer.status_code == 401
    assert "Name and password do not fit." in answer.text
    assert "&lt;b&gt;" in answer.text
    assert browser.post("/auth/login", data={"username": "a\x00b", "password": "x"}).status_code == 422
    assert browser.post("/auth/token", json={"username": "a\x00b", "password": "x"}).status_code == 422
