"""A client of the deployment's own Airflow REST API, on loopback."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx

from orrery.errors import OrreryError

if TYPE_CHECKING:
    from types import TracebackType

USERNAME = "admin"


class ApiError(OrreryError):
    """Airflow's API refused, or did not answer; `status` and `detail` are what it said, if it did."""

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.detail = detail


class Api:
    """Calls to one deployment, signed in as its admin on the first call that needs it."""

    def __init__(self, url: str, *, password: str, timeout_seconds: float = 30) -> None:
        # trust_env off: no proxy of the user's stands between us and loopback.
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)
        self._password = password
        self._token: str | None = None

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def health(self) -> dict[str, Any] | None:
        """Return what Airflow says of its components; None when the api-server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=15)
            value = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return value if answer.is_success and isinstance(value, dict) else None

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """GET below /api/v2; raises ApiError."""
        return self._call("GET", path, params=parameters)

    def get_orrery(self, path: str) -> dict[str, Any]:
        """GET below /orrery/v1; raises ApiError."""
        return self._call("GET", path, base="/orrery/v1")

    def call_orrery(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Call a route below /orrery/v1; options are those of httpx; raises ApiError."""
        return self._call(method, path, base="/orrery/v1", **options)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST below /api/v2; raises ApiError."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """PATCH below /api/v2; raises ApiError."""
        return self._call("PATCH", path, json=body)

    def find(self, path: str) -> dict[str, Any] | None:
        """GET below /api/v2; None when there is no such thing; raises ApiError."""
        try:
            return self.get(path)
        except NotFoundError:
            return None

    def warm_up(self) -> None:
        """Make the api-server build its execution API now, not while the first task waits for it.

        The first call takes it two seconds, once. Nobody waits for the answer, which is that a token
        is missing: the server goes on when we have gone.
        """
        with contextlib.suppress(httpx.HTTPError):
            self._client.get("/execution/connections/orrery_warm_up", timeout=0.1)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._request(method, path, **options)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                # A run may be followed for longer than a token lives.
                self._token = None
                answer = self._request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(
                f"Airflow's API at {self._client.base_url} does not answer: {error}",
                hint="See what runs: orrery status; and why not: orrery logs api-server",
            ) from error
        if answer.is_success:
            value = self._json(answer) if answer.content else {}
            return value if isinstance(value, dict) else {"value": value}
        kind = NotFoundError if answer.status_code == httpx.codes.NOT_FOUND else ApiError
        detail = _detail(answer)
        raise kind(
            f"Airflow's API refused {method} {path} ({answer.status_code}): {detail}",
            status=answer.status_code,
            detail=detail,
        )

    def _request(self, method: str, path: str, *, base: str = "/api/v2", **options: Any) -> httpx.Response:
        if self._token is None:
            self._token = self._sign_in()
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._client.request(method, f"{base}{path}", headers=headers, **options)

    def _sign_in(self) -> str:
        answer = self._client.post("/auth/token", json={"username": USERNAME, "password": self._password})
        if not answer.is_success:
            raise ApiError(
                f"Airflow refused the sign-in of '{USERNAME}' ({answer.status_code}): {_detail(answer)}",
                hint=f"If its password was changed: orrery auth reset-password {USERNAME}. "
                "Another auth manager than Orrery's and Airflow's simple one has tokens of its own.",
            )
        value = self._json(answer)
        if not isinstance(value, dict) or "access_token" not in value:
            raise self._stranger()
        return str(value["access_token"])

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise self._stranger() from error

    def _stranger(self) -> ApiError:
        return ApiError(
            f"What answers at {self._client.base_url} is not Airflow.",
            hint="See which program has the port: orrery doctor; and whether ours runs: orrery status",
        )


class NotFoundError(ApiError):
    """There is no such thing in this deployment."""


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except (ValueError, AttributeError):
        detail = answer.text
    return str(detail).strip() or answer.reason_phrase
