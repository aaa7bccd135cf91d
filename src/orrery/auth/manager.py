"""Orrery's auth manager: what Airflow asks, answered from the policy in memory.

    [core] auth_manager = orrery.auth.manager.OrreryAuthManager

Every answer is `Rights.decide` or `Rights.dag_ids`, for the permission that `permissions` names. Nothing here
asks the database in a request's path.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.configuration import conf
from airflow.utils.session import create_session
from jwt import InvalidTokenError

from orrery.auth import permissions, recorder, settings, store, tokens
from orrery.auth.bootstrap import ensure_owner
from orrery.auth.cache import PolicyCache
from orrery.auth.compat import every_dag, is_expected_of_some
from orrery.auth.policy import Rights
from orrery.auth.request import AccessMiddleware, address, current
from orrery.auth.roles import SYSTEM_PREFIX, Decision
from orrery.auth.user import OrreryUser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    from orrery.auth.policy import Account, Policy


class OrreryAuthManager(BaseAuthManager[OrreryUser]):  # type: ignore[misc] # Airflow's types are not followed
    """Roles from organization to Dag, local passwords, sessions, API tokens, an audit."""

    @cached_property
    def settings(self) -> settings.Settings:
        """What the deployment says of access."""
        return settings.load()

    @cached_property
    def cache(self) -> PolicyCache:
        """The policy, kept up to date."""
        wanted = self.settings
        return PolicyCache(wanted.place, open_listener=lambda: store.open_listener(wanted.listen_url))

    @cached_property
    def recorder(self) -> recorder.Recorder:
        """Writes to the audit what must not hold up a request."""
        return recorder.Recorder(audit_days=self.settings.audit_days)

    def init(self) -> None:
        """Make the first owner where there is none and one is wished for."""
        if ensure_owner(self.settings.bootstrap_file, self.settings.place):
            self.cache.refresh()

    # -- who --------------------------------------------------------------------------------------

    def serialize_user(self, user: OrreryUser) -> dict[str, Any]:
        """Return what a token says: who, of which epoch, by what. No role."""
        claims = {
            "sub": user.id,
            "epoch": user.epoch,
            "sid": user.session_id,
            "auth_time": user.signed_in_at,
            "tok": user.token_id,
            "idp": user.provider,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def deserialize_user(self, token: dict[str, Any]) -> OrreryUser:
        """Return whom a token's claims are about, where they still hold.

        Raises:
            ValueError: they do not.
        """
        account = self._account(str(token["sub"]))
        policy = self.cache.policy
        if account.epoch != token.get("epoch"):
            raise ValueError("It was signed out.")
        session_id, token_id = token.get("sid"), token.get("tok")
        if session_id in policy.revoked or token.get("jti") in policy.revoked:
            raise ValueError("It was revoked.")
        if token_id is not None:
            used = policy.tokens.get(token_id)
            if used is None or used.owner_id != account.id or not used.is_valid(datetime.now(UTC)):
                raise ValueError("The API token behind it is void.")
        signed_in_at = token.get("auth_time")
        if session_id is not None and (
            signed_in_at is None
            or datetime.now(UTC).timestamp() > signed_in_at + self.settings.session.total_seconds()
        ):
            raise ValueError("The session is over.")
        return OrreryUser(
            id=account.id,
            username=account.username,
            epoch=account.epoch,
            session_id=session_id,
            signed_in_at=signed_in_at,
            expires_at=token.get("exp"),
            token_id=token_id,
            provider=token.get("idp"),
        )

    async def get_user_from_token(self, token: str) -> OrreryUser:
        """Return who a token is: an API token, a session's cookie, or a short access token.

        Raises:
            jwt.InvalidTokenError: nobody.
        """
        if token.startswith(tokens.PREFIX):
            return self._user_of_api_token(token)
        claims = await self._get_token_validator().avalidated_claims(token)
        try:
            return self.deserialize_user(claims)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidTokenError(str(error)) from error

    def _user_of_api_token(self, text: str) -> OrreryUser:
        policy = self.cache.policy
        token = policy.by_token_hash.get(tokens.hashed(text))
        if token is None or not token.is_valid(datetime.now(UTC)):
            raise InvalidTokenError("There is no such API token, or it has expired or was revoked.")
        try:
            account = self._account(token.owner_id)
        except ValueError as error:
            raise InvalidTokenError(str(error)) from error
        request = current()
        self.recorder.token_used(
            token.id, account.username, token.prefix, request.address if request else None
        )
        return OrreryUser(id=account.id, username=account.username, epoch=account.epoch, token_id=token.id)

    def _account(self, account_id: str) -> Account:
        account = self.cache.policy.accounts.get(account_id)
        if account is None or not account.is_active:
            raise ValueError("There is no such account, or it is disabled.")
        return account

    def new_session(self, account: Account, *, provider: str | None = None) -> OrreryUser:
        """Return a user whose token begins a session: with an id that nobody knew before it signed in."""
        return OrreryUser(
            id=account.id,
            username=account.username,
            epoch=account.epoch,
            session_id=str(uuid4()),
            signed_in_at=int(datetime.now(UTC).timestamp()),
            provider=provider,
        )

    def user_of(self, account: Account) -> OrreryUser:
        """Return a user without a session, for short access tokens."""
        return OrreryUser(id=account.id, username=account.username, epoch=account.epoch)

    def claims_of(self, token: str) -> dict[str, Any]:
        """Return what a session's cookie or an access token says, signature and times checked.

        Raises:
            jwt.InvalidTokenError: it is none.
        """
        return cast("dict[str, Any]", self._get_token_validator().validated_claims(token))

    def generate_jwt(self, user: OrreryUser, *, expiration_time_in_seconds: int | None = None) -> str:
        """Return a token: with a time given, an access token; without one, the session's cookie."""
        if expiration_time_in_seconds is None:
            seconds = int(self.settings.idle.total_seconds())
            claims = self.serialize_user(user)
        else:
            seconds = expiration_time_in_seconds
            claims = self.serialize_user(user)
            # It outlives the browser's session, and is void when its epoch is.
            claims = {name: value for name, value in claims.items() if name not in ("sid", "auth_time")}
        return cast("str", self._get_token_signer(expiration_time_in_seconds=seconds).generate(claims))

    def refresh_user(self, *, user: OrreryUser) -> OrreryUser | None:
        """Return the user again where its cookie has lived half of its time, so that it gets a new one."""
        if user.session_id is None or user.expires_at is None:
            return None
        left = timedelta(seconds=user.expires_at - datetime.now(UTC).timestamp())
        return user if left < self.settings.idle / 2 else None

    def revoke_token(self, token: str) -> None:
        """Sign a session or a short token out, on every API server; an API token has a route of its own."""
        try:
            claims = self.claims_of(token)
        except InvalidTokenError:  # nothing is left to be revoked
            return
        session_id = claims.get("sid")
        name = session_id or claims.get("jti")
        if name is None:
            return
        now = datetime.now(UTC)
        # A session gets new tokens until it is over: its id is void for all of them.
        until = now + self.settings.session if session_id else datetime.fromtimestamp(claims["exp"], UTC)
        account = self.cache.policy.accounts.get(str(claims.get("sub")))
        with create_session(scoped=False) as session:
            store.revoke_session(session, name, until)
            actor = account.username if account else None
            store.record(session, "sign-out", now=now, actor=actor, address=address())
        self.cache.refresh()

    # -- what -------------------------------------------------------------------------------------

    def rights(self, user: OrreryUser, policy: Policy | None = None) -> Rights:
        """Return what a caller may, by this process's policy or by one that was just read."""
        policy = policy or self.cache.policy
        limit = None
        if user.token_id is not None:
            token = policy.tokens.get(user.token_id)
            if token is None:  # gone since it was let in
                return Rights((), None, policy.place)
            limit = policy.token_grant(token)
        return Rights(policy.grants(user.id), limit, policy.place)

    def _decided(self, user: OrreryUser, permission: str | None, decision: Decision, what: str) -> bool:
        if not decision.is_allowed and not str(permission).endswith(".read"):
            self.recorder.denied(user.username, permission, what, decision.reason, current())
        return decision.is_allowed

    def _simple(self, user: OrreryUser, permission: str | None, what: str = "") -> bool:
        return self._decided(user, permission, self.rights(user).decide(permission), what)

    def is_authorized_configuration(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about Airflow's configuration."""
        return self._simple(user, permissions.of_resource(str(method), "configuration"))

    def is_authorized_connection(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about connections."""
        name = details.conn_id if details else None
        return self._simple(user, permissions.of_resource(str(method), "connection"), name or "")

    def is_authorized_variable(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about variables."""
        name = details.key if details else None
        return self._simple(user, permissions.of_resource(str(method), "variable"), name or "")

    def is_authorized_pool(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about pools; nobody changes ours."""
        name = details.name if details else None
        permission = permissions.of_resource(str(method), "pool")
        if str(method) != "GET" and name is not None and name.startswith(SYSTEM_PREFIX):
            refused = Decision(is_allowed=False, reason="Nobody may change Orrery's own pools.")
            return self._decided(user, permission, refused, name)
        return self._simple(user, permission, name or "")

    def is_authorized_asset(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about assets and their events."""
        return self._simple(user, permissions.of_resource(str(method), "asset"), str(details and details.id))

    def is_authorized_asset_alias(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about asset aliases."""
        return self._simple(user, permissions.of_resource(str(method), "asset_alias"))

    def is_authorized_view(self, *, access_view: Any, user: OrreryUser) -> bool:
        """Decide about a read-only view; one that we do not know is for owners."""
        permission = permissions.of_view(access_view.value)
        return self.rights(user).decide(permission, of_some=True).is_allowed

    def is_authorized_custom_view(self, *, method: Any, resource_name: str, user: OrreryUser) -> bool:
        """Decide about a view that a plug-in brings: to read it, or to do anything else with it."""
        is_read = str(method) in ("GET", "MENU", "can_read")
        return self._simple(user, "custom_view.read" if is_read else "custom_view.update", resource_name)

    def is_authorized_team(self, *, method: Any, user: OrreryUser, details: Any = None) -> bool:
        """Decide about Airflow's teams (`[core] multi_team`): who is in a team of ours of that name."""
        name = details.name if details else None
        return name is not None and name in self.filter_authorized_teams(teams_names={name}, user=user)

    def is_authorized_dag(
        self, *, method: Any, user: OrreryUser, access_entity: Any = None, details: Any = None
    ) -> bool:
        """Decide about a Dag, or about Dags in general: then it is a list, which is filtered afterwards."""
        entity = access_entity.value if access_entity is not None else None
        permission = permissions.of_dag(str(method), entity)
        dag_id = details.id if details else None
        rights = self.rights(user)
        if dag_id is not None:
            self.cache.knows(dag_id)
            decision = rights.decide(permission, dag=self.cache.dags.get(dag_id))
            # Noted too: a list may be asked for with one Dag in its address and show others.
            if decision.is_allowed and permission is not None and (request := current()) is not None:
                request.asked.add(permission)
            return self._decided(user, permission, decision, dag_id)
        of_some = is_expected_of_some(str(method), entity)
        decision = rights.decide(permission, of_some=of_some)
        if decision.is_allowed and of_some and permission is not None:
            if (request := current()) is not None:
                request.asked.add(permission)
            elif str(method) == "GET" and permission != "dag.read":
                # Nobody will know which part was asked for: yes only where it holds on all that may be seen.
                index = self.cache.dags
                return rights.dag_ids("dag.read", index) <= rights.dag_ids(permission, index)
        return self._decided(user, permission, decision, "")

    def batch_is_authorized_dag(self, requests: Sequence[Any], *, user: OrreryUser) -> bool:
        """Decide about many Dags."""
        asked = {
            (str(each["method"]), each.get("access_entity"), details.id if details else None): each
            for each in requests
            for details in (each.get("details"),)
        }
        return all(
            self.is_authorized_dag(
                method=each["method"],
                access_entity=each.get("access_entity"),
                details=each.get("details"),
                user=user,
            )
            for each in asked.values()
        )

    def batch_is_authorized_connection(self, requests: Sequence[Any], *, user: OrreryUser) -> bool:
        """Decide about many connections: all alike, so once for each method."""
        methods = {str(each["method"]) for each in requests}
        return all(self.is_authorized_connection(method=method, user=user) for method in methods)

    def batch_is_authorized_variable(self, requests: Sequence[Any], *, user: OrreryUser) -> bool:
        """Decide about many variables: all alike, so once for each method."""
        methods = {str(each["method"]) for each in requests}
        return all(self.is_authorized_variable(method=method, user=user) for method in methods)

    def batch_is_authorized_pool(self, requests: Sequence[Any], *, user: OrreryUser) -> bool:
        """Decide about many pools."""
        return all(
            self.is_authorized_pool(method=each["method"], details=each.get("details"), user=user)
            for each in requests
        )

    # -- lists ------------------------------------------------------------------------------------

    def get_authorized_dag_ids(
        self, *, user: OrreryUser, method: Any = "GET", session: Any = None
    ) -> set[str]:
        """Return on which Dags the caller may do that, and all that was asked of Dags in this request."""
        index = self.cache.dags
        rights = self.rights(user)
        asked = {permissions.of_dag(str(method), None)}
        if (request := current()) is not None:
            asked |= request.asked
        found = index.all
        for permission in asked:
            found &= rights.dag_ids(permission, index)
        return every_dag(found) if found == index.all else set(found)

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: OrreryUser, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Return those of these Dags on which the caller may do that."""
        return set(
            dag_ids & self.rights(user).dag_ids(permissions.of_dag(str(method), None), self.cache.dags)
        )

    def filter_authorized_connections(
        self, *, conn_ids: set[str], user: OrreryUser, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Return all or none: connections are not told apart."""
        return conn_ids if self._may(user, method, "connection") else set()

    def filter_authorized_variables(
        self, *, variable_keys: set[str], user: OrreryUser, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Return all or none: variables are not told apart."""
        return variable_keys if self._may(user, method, "variable") else set()

    def filter_authorized_pools(
        self, *, pool_names: set[str], user: OrreryUser, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Return all or none, and of those to be changed not ours."""
        if not self._may(user, method, "pool"):
            return set()
        if str(method) == "GET":
            return pool_names
        return {name for name in pool_names if not name.startswith(SYSTEM_PREFIX)}

    def filter_authorized_teams(
        self, *, teams_names: set[str], user: OrreryUser, method: Any = "GET"
    ) -> set[str]:
        """Return those of Airflow's teams whose namesake of ours the caller is in; an owner is in all."""
        policy = self.cache.policy
        if user.id in policy.owners:
            return teams_names
        return teams_names & {team.name for team in policy.teams_of(user.id)}

    def filter_authorized_menu_items(self, menu_items: list[Any], *, user: OrreryUser) -> list[Any]:
        """Return the entries of the menu that lead somewhere for the caller."""
        rights = self.rights(user)
        return [
            item
            for item in menu_items
            if rights.decide(permissions.MENU.get(item.name), of_some=True).is_allowed
        ]

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: OrreryUser) -> bool:
        """Tell whether somebody is among those who were asked, by id, name or e-mail address."""
        account = self.cache.policy.accounts.get(user.id)
        names = {user.id, user.username, account.email if account else None}
        return not names.isdisjoint(assigned_users)

    def _may(self, user: OrreryUser, method: Any, resource: str) -> bool:
        return self.rights(user).decide(permissions.of_resource(str(method), resource)).is_allowed

    def _get_teams(self) -> set[str]:
        return {team.name for team in self.cache.policy.teams.values()}

    # -- what it brings ---------------------------------------------------------------------------

    def get_url_login(self, **kwargs: Any) -> str:
        """Return the address of the login page."""
        from airflow.api_fastapi.app import AUTH_MANAGER_FASTAPI_APP_PREFIX  # noqa: PLC0415

        return f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/login"

    def get_url_logout(self) -> str | None:
        """Return the address that ends the session here, and at the identity provider that it came from."""
        from airflow.api_fastapi.app import AUTH_MANAGER_FASTAPI_APP_PREFIX  # noqa: PLC0415

        return f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/logout"

    def get_fastapi_middlewares(self) -> list[tuple[Any, dict[str, Any]]]:
        """Return ours, which stands before all that authorises."""
        return [(AccessMiddleware, {})]

    def get_fastapi_app(self) -> FastAPI | None:
        """Return what is mounted at /auth: tokens, the login page, sign-out."""
        # By its name, as Airflow's plug-ins are: it is built on this module.
        app: FastAPI = importlib.import_module("orrery.auth.login").create_app(self)
        return app

    @staticmethod
    def access_token_seconds(*, for_cli: bool = False) -> int:
        """Return how long a short access token lives."""
        option = "jwt_cli_expiration_time" if for_cli else "jwt_expiration_time"
        return int(conf.getint("api_auth", option))
