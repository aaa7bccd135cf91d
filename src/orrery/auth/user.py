"""Whoever makes a request: an account, and by what it has signed in. Its roles are not in it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


@dataclass(frozen=True, slots=True, kw_only=True)
class OrreryUser(BaseUser):  # type: ignore[misc] # Airflow's types are not followed
    """A signed-in caller. What it may is asked of the policy at each request."""

    id: str
    username: str
    #: Of the account when it signed in; an older one is void.
    epoch: int
    #: Of the browser's session; None: no session but a token.
    session_id: str | None = None
    #: When the session began, in seconds since 1970; a refresh does not change it.
    signed_in_at: int | None = None
    #: Expiry of the cookie's present token, in seconds since 1970.
    expires_at: int | None = None
    #: The API token that was used, or that this short token was made with.
    token_id: str | None = None
    #: Of the identity provider that it came from, for sign-out there.
    provider: str | None = None

    def get_id(self) -> str:
        """Return the account's id."""
        return self.id

    def get_name(self) -> str:
        """Return the name that Airflow shows and logs."""
        return self.username
