"""The way there and back: what a browser carries between them, and the exchange of the code.

A browser carries state, nonce and PKCE's secret in a signed cookie of ten minutes, one for each sign-in
under way. Any API server can go on where another began; a state counts once on all of them together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from orrery.auth.oidc import claims as token_claims
from orrery.auth.oidc.claims import ClaimError
from orrery.auth.oidc.directory import ProviderError, State, http_client, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.auth.oidc.directory import Directory, Metadata
    from orrery.auth.provider import Provider

LIFE_SECONDS: Final = 600
COOKIE: Final = "orrery_sign_in_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One sign-in under way."""

    provider: str
    state: str
    nonce: str
    verifier: str
    next_page: str

    @property
    def cookie(self) -> str:
        """The name of its cookie: two windows may sign in at once."""
        return cookie_of(self.state)

    def sealed(self, secret: str) -> str:
        """Return it as the cookie's text."""
        values = {**asdict(self), "exp": int(time.time()) + LIFE_SECONDS}
        return jwt.encode({"alg": "HS256"}, values, _key(secret))


def cookie_of(state: str) -> str:
    """Return the name of the cookie for a state, which may be anybody's text."""
    return COOKIE + hashlib.sha256(state.encode()).hexdigest()[:12]


def begin(provider: Provider, next_page: str) -> Flow:
    """Return a new sign-in."""
    return Flow(
        provider=provider.id,
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        next_page=next_page,
    )


def opened(text: str | None, secret: str, *, provider: str, state: str) -> Flow | None:
    """Return the sign-in that a cookie holds, where it is ours, of this provider and state, and not over."""
    if not text:
        return None
    try:
        values = dict(jwt.decode(text, _key(secret), algorithms=["HS256"]).claims)
        is_over = values.pop("exp") < time.time()
        flow = Flow(**values)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    is_it = flow.provider == provider and hmac.compare_digest(flow.state.encode(), state.encode())
    return flow if is_it and not is_over else None


def address(flow: Flow, provider: Provider, metadata: Metadata, redirect_uri: str) -> str:
    """Return where the browser is sent."""
    challenge = hashlib.sha256(flow.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{separator}{urlencode(query)}"


def finish(flow: Flow, code: str, directory: Directory, redirect_uri: str) -> token_claims.Identity:
    """Exchange the code, check what comes, and return who it is.

    Raises:
        ProviderError: the provider refuses, cannot be reached, or cannot be understood.
        ClaimError: its ID token does not hold.
    """
    provider, metadata = directory.provider, directory.metadata()
    try:
        with http_client() as client:
            answer = _exchange(client, directory, flow, code, redirect_uri)
            token = answer.get("id_token")
            if not isinstance(token, str):
                raise ProviderError(f"'{provider.id}' gave no ID token: is 'openid' among its scopes?")
            claims = token_claims.verified(
                token,
                directory.keys(token_claims.key_id(token)),
                provider,
                issuer=metadata.issuer,
                nonce=flow.nonce,
                now=time.time(),
            )
            if metadata.userinfo_endpoint and token_claims.lacks(claims, provider):
                claims = _told(client, metadata.userinfo_endpoint, answer, claims)
    except httpx.HTTPError as error:
        raise ProviderError(f"'{provider.id}' cannot be reached: {error}", State.UNREACHABLE) from error
    except OSError as error:
        raise ProviderError(f"The client secret of '{provider.id}' cannot be read: {error}") from error
    return token_claims.identity_of(claims, provider)


def _exchange(
    client: httpx.Client, directory: Directory, flow: Flow, code: str, redirect_uri: str
) -> dict[str, Any]:
    provider, metadata = directory.provider, directory.metadata()
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": flow.verifier,
    }
    secret = provider.secret()
    headers = {"Accept": "application/json"}
    if secret is not None and metadata.takes_basic:
        # RFC 6749, section 2.3.1: encoded as a form before it is encoded as Basic.
        pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": provider.client_id} | ({"client_secret": secret} if secret is not None else {})
    answer = client.post(metadata.token_endpoint, data=form, headers=headers)
    if answer.is_client_error:
        # The error's code and words (RFC 6749, section 5.2), not the form that holds our secret.
        raise ProviderError(f"'{provider.id}' refused the code ({answer.status_code}): {answer.text[:300]!r}")
    return read_json(answer)


def _told(
    client: httpx.Client, address: str, tokens: Mapping[str, Any], claims: dict[str, Any]
) -> dict[str, Any]:
    """Return the claims with what the user information adds: the ID token's own win."""
    headers = {"Authorization": f"Bearer {tokens.get('access_token')}"}
    told = read_json(client.get(address, headers=headers))
    if told.get("sub") != claims["sub"]:
        raise ClaimError("the user information is about somebody else")
    return {**told, **claims}


def _key(secret: str) -> OctKey:
    # A key of its own: what this signs is nothing that another use of the secret would take.
    return OctKey.import_key(hmac.new(secret.encode(), b"orrery sign-in flow", hashlib.sha256).digest())
