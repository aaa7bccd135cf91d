"""An identity provider, as the deployment's settings name it: `[orrery_auth] providers`, a list in JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from orrery.config.address import is_safe
from orrery.errors import InputError

_HINT: Final = "See docs/access/single-sign-on.md; in orrery.yaml: auth.providers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """One of them. All names of claims are those of the ID token or of the user information."""

    #: Stands in addresses, in the audit, and before the names of its groups.
    id: str
    title: str
    issuer: str
    client_id: str
    #: None: a public client, which PKCE alone protects.
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    username_claim: str = "preferred_username"
    #: Where its groups stand, with dots between levels: `groups`, `realm_access.roles`.
    groups_claim: str = "groups"
    #: Whether somebody unknown gets an account. Without: people whom an invitation or an owner has made.
    create_users: bool = True
    #: Whether an account with the same address is the same person, where the provider has verified it.
    link_by_email: bool = False
    #: How far its clock may be off, in seconds.
    leeway: int = 60

    def secret(self) -> str | None:
        """Read the client's secret: at each use, so that it can be changed in place.

        Raises:
            OSError: it cannot be read.
        """
        if self.client_secret_file is None:
            return None
        return self.client_secret_file.read_text(encoding="utf-8").strip()


def parse(text: str) -> tuple[Provider, ...]:
    """Read the list.

    Raises:
        InputError: it is not what it should be.
    """
    try:
        given = json.loads(text or "[]")
        providers = tuple(_provider(each) for each in given)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The identity providers cannot be read: {error}.", hint=_HINT) from error
    ids = [each.id for each in providers]
    if twice := {each for each in ids if ids.count(each) > 1}:
        raise InputError(f"Two identity providers have the id '{twice.pop()}'.", hint=_HINT)
    return providers


def _provider(given: dict[str, object]) -> Provider:
    known = {field.name for field in fields(Provider)}
    if unknown := given.keys() - known:
        raise ValueError(f"'{unknown.pop()}' is unknown; known are {', '.join(sorted(known))}")
    values = {
        **given,
        "title": given.get("title") or given["id"],
        "scopes": tuple(given.get("scopes") or ("openid", "profile", "email")),  # type: ignore[arg-type]
        "client_secret_file": Path(str(file)) if (file := given.get("client_secret_file")) else None,
    }
    provider = Provider(**values)  # type: ignore[arg-type] # the file's own check has typed them
    if "openid" not in provider.scopes:
        raise ValueError(f"the scopes of '{provider.id}' lack 'openid'")
    if not is_safe(provider.issuer):
        raise ValueError(f"the issuer of '{provider.id}' must begin with https:// (http:// on loopback only)")
    return provider
