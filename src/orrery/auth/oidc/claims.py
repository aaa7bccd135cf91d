"""What an ID token says: checked (OpenID Connect Core 1.0, section 3.1.3.7), and read. Pure."""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import KeySet

    from orrery.auth.provider import Provider

#: Signatures that only the provider can make. No `none`, and no secret that we have too.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_LONGEST: Final = 250
#: User names are of what stands on every keyboard: none looks like another.
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._@+-]+")


class ClaimError(Exception):
    """An ID token does not hold. The message is for the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who somebody is at a provider."""

    subject: str
    username: str
    email: str | None
    is_email_verified: bool
    full_name: str
    #: With the provider's id before them: the groups of two providers are never the same.
    groups: frozenset[str]
    #: Whether it said anything of groups.
    has_groups: bool


def verified(
    token: str, keys: KeySet, provider: Provider, *, issuer: str, nonce: str, now: float
) -> dict[str, Any]:
    """Return the claims of an ID token that is the provider's, for us, for this sign-in, and fresh.

    Raises:
        ClaimError: it is not.
    """
    try:
        # A provider of one key need not name it.
        chosen = keys.keys[0] if len(keys.keys) == 1 and key_id(token) is None else keys
        claims = dict(jwt.decode(token, chosen, algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ClaimError(f"its signature does not hold: {error}") from error
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    said_nonce = claims.get("nonce")
    checks = {
        f"it is of '{claims.get('iss')}'": claims.get("iss") == issuer,
        f"it is for '{audience}'": provider.client_id in audiences,
        f"it was given to '{claims.get('azp')}'": claims.get("azp", provider.client_id) == provider.client_id
        and (len(audiences) == 1 or "azp" in claims),
        "it is of another sign-in (nonce)": isinstance(said_nonce, str)
        and hmac.compare_digest(said_nonce.encode(), nonce.encode()),
        "it is over": _number(claims, "exp") > now - provider.leeway,
        "it is of the future: one of the clocks is off": _number(claims, "iat") <= now + provider.leeway
        and _number(claims, "nbf", 0.0) <= now + provider.leeway,
        "it names nobody": isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= _LONGEST,
    }
    for complaint, holds in checks.items():
        if not holds:
            raise ClaimError(complaint)
    return claims


def key_id(token: str) -> str | None:
    """Return which key a token names; unchecked."""
    head = token.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return None
    value = found.get("kid") if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _number(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimError(f"its {name} is no time")
    return float(value)


def identity_of(claims: Mapping[str, Any], provider: Provider) -> Identity:
    """Read who somebody is."""
    subject = str(claims["sub"])
    email = _text(claims.get("email"))
    name = _text(_at(claims, provider.username_claim)) or email or subject
    groups = _at(claims, provider.groups_claim)
    listed = groups if isinstance(groups, list) else [groups]
    return Identity(
        subject=subject,
        username=_NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:100] or subject[:100],
        email=email.lower() if email else None,
        # Some say it as a text.
        is_email_verified=claims.get("email_verified") in (True, "true"),
        full_name=_text(claims.get("name")) or name,
        groups=frozenset(
            group
            for each in listed
            if (found := _text(each)) and len(group := f"{provider.id}:{found}") <= _LONGEST
        ),
        has_groups=groups is not None,
    )


def lacks(claims: Mapping[str, Any], provider: Provider) -> bool:
    """Tell whether the user information might say more that is needed."""
    wanted = (provider.username_claim, provider.groups_claim, "email")
    return any(_at(claims, each) is None for each in wanted)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:  # such as https://example.org/groups
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = "".join(letter for letter in value if letter.isprintable()).strip()
    return text[:_LONGEST] or None
