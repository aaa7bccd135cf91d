"""Identity providers in the deployment file: `auth.providers`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from orrery.config.address import is_safe
from orrery.deployment.section import Section, complaint


class IdentityProvider(Section):
    """An identity provider: where people sign in with an account that they have elsewhere."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["company"])
    """Stands in its address (`/auth/oidc/ID/callback`) and before the names of its groups (`ID:GROUP`)."""

    title: str | None = Field(default=None, min_length=1, max_length=100, examples=["Sign in with Example"])
    """What its button says. Without it: the id."""

    issuer: str = Field(examples=["https://login.example.org/realms/main"])
    """Its address, exactly as it says itself in `ISSUER/.well-known/openid-configuration`."""

    client_id: str = Field(min_length=1, max_length=250)
    """The name under which it knows this deployment."""

    client_secret_file: str | None = Field(default=None, min_length=1)
    """A file that holds the client's secret and nothing else; relative to the project. Without it: a public
    client, protected by PKCE alone. Secrets stand in no orrery.yaml."""

    scopes: Annotated[tuple[str, ...], Field(strict=False)] = ("openid", "profile", "email")
    """What it is asked for; `openid` must be among it."""

    username_claim: str = Field(default="preferred_username", min_length=1)
    """The claim that becomes the user name of a new account."""

    groups_claim: str = Field(default="groups", min_length=1)
    """The claim that lists groups; with dots between levels, such as `realm_access.roles`."""

    create_users: bool = True
    """Whether somebody who is not known yet gets an account: without a role, until one is given."""

    link_by_email: bool = False
    """Whether an account of here with the same address is the same person, where the provider says that it
    has verified the address. Only for providers whose addresses you trust."""

    leeway: int = Field(default=60, ge=0, le=600)
    """By how many seconds its clock may differ."""

    @field_validator("issuer")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        if not is_safe(value):
            raise complaint("must begin with https:// (http:// only on this machine)")
        return value

    @field_validator("scopes")
    @classmethod
    def _is_open_id(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise complaint("lacks `openid`, without which nobody's name comes")
        return value
