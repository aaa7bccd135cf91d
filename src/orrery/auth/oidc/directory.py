"""What a provider says of itself: its metadata and its keys, fetched when needed and kept for a while.

A provider that cannot be reached stops nothing but its own sign-ins. It is asked again a few seconds later,
not by each who waits; what was known of it holds for as long as it is away.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from orrery.config.address import is_safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.auth.provider import Provider

Found = TypeVar("Found")

_KEEP_SECONDS: Final = 3600.0
#: Between two tries of what failed, and between two looks for a key that is not there.
_PAUSE_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1_000_000


class State(StrEnum):
    """How a provider is doing."""

    UNKNOWN = "unknown"
    READY = "ready"
    UNREACHABLE = "unreachable"
    WRONG = "wrong"


class ProviderError(Exception):
    """A provider cannot be reached (`UNREACHABLE`), or says what cannot be (`WRONG`). For the log."""

    def __init__(self, message: str, state: State = State.WRONG) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """OpenID Connect Discovery 1.0, section 3: the part that is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    #: Whether each answer names its issuer (RFC 9207).
    says_issuer: bool
    takes_basic: bool


def http_client() -> httpx.Client:
    """Return a client that follows nobody elsewhere and waits for nobody long."""
    return httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False)


def read_json(answer: httpx.Response) -> dict[str, Any]:
    """Return the object in an answer.

    Raises:
        ProviderError: there is none.
    """
    if answer.status_code != httpx.codes.OK:
        kind = State.UNREACHABLE if answer.is_server_error else State.WRONG
        raise ProviderError(f"{answer.request.url} answered {answer.status_code}", kind)
    try:
        value = answer.json() if len(answer.content) <= _MOST_BYTES else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProviderError(f"{answer.request.url} answered no JSON object")
    return value


class Directory:
    """Of one provider. Threads share it."""

    def __init__(
        self,
        provider: Provider,
        *,
        client: Callable[[], httpx.Client] = http_client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._metadata_at = 0.0
        self._keys: KeySet | None = None
        self._keys_at = 0.0
        self._failed_at = 0.0
        self._failure: ProviderError | None = None
        self.state = State.UNKNOWN

    @property
    def known(self) -> Metadata | None:
        """What is known already, without asking."""
        return self._metadata

    def metadata(self) -> Metadata:
        """Return what the provider says of itself.

        Raises:
            ProviderError: it cannot be reached, or says what cannot be; and nothing was known before.
        """
        with self._lock:
            now = self._clock()
            if self._metadata is not None and now - self._metadata_at < _KEEP_SECONDS:
                return self._metadata
            try:
                self._metadata = self._try(self._fetch_metadata)
            except ProviderError:
                if self._metadata is None:
                    raise
            else:
                self._metadata_at = now
            return self._metadata

    def keys(self, key_id: str | None) -> KeySet:
        """Return its keys; with that id, where there is one, looking again when it is new.

        Raises:
            ProviderError: they cannot be had.
        """
        metadata = self.metadata()
        with self._lock:
            now = self._clock()
            is_old = self._keys is None or now - self._keys_at >= _KEEP_SECONDS
            is_new = key_id is not None and self._keys is not None and not _has(self._keys, key_id)
            if is_old or (is_new and now - self._keys_at >= _PAUSE_SECONDS):
                try:
                    self._keys = self._try(lambda: self._fetch_keys(metadata.jwks_uri))
                except ProviderError:
                    if self._keys is None:
                        raise
                else:
                    self._keys_at = now
            assert self._keys is not None  # noqa: S101 - or it was raised
            return self._keys

    def _try(self, fetch: Callable[[], Found]) -> Found:
        now = self._clock()
        if self._failure is not None and now - self._failed_at < _PAUSE_SECONDS:
            raise self._failure
        try:
            found = fetch()
        except ProviderError as error:
            self._failed_at, self._failure, self.state = now, error, error.state
            raise
        except httpx.HTTPError as error:
            why = f"'{self.provider.id}' cannot be reached at {self.provider.issuer}: {error}"
            failure = ProviderError(why, State.UNREACHABLE)
            self._failed_at, self._failure, self.state = now, failure, failure.state
            raise failure from error
        self._failure, self.state = None, State.READY
        return found

    def _fetch_metadata(self) -> Metadata:
        issuer = self.provider.issuer
        with self._client() as client:
            found = read_json(client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
        if found.get("issuer") != issuer:
            raise ProviderError(
                f"'{self.provider.id}' is not '{issuer}': it says it is '{found.get('issuer')}'"
            )
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        for name in needed:
            if not is_safe(str(found.get(name, ""))):
                raise ProviderError(f"'{self.provider.id}' names no safe {name}: {found.get(name)!r}")
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Metadata(
            issuer=issuer,
            **{name: str(found[name]) for name in needed},
            userinfo_endpoint=_address(found, "userinfo_endpoint"),
            end_session_endpoint=_address(found, "end_session_endpoint"),
            says_issuer=found.get("authorization_response_iss_parameter_supported") is True,
            takes_basic="client_secret_basic" in methods,
        )

    def _fetch_keys(self, address: str) -> KeySet:
        with self._client() as client:
            found = read_json(client.get(address))
        # What cannot be read is left out: a provider may have a key of a kind that is newer than we are.
        keys = [key for each in found.get("keys", ()) if (key := _key(each)) is not None]
        if not keys:
            raise ProviderError(f"'{self.provider.id}' has no keys at {address}")
        return KeySet(keys)


def _address(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) and is_safe(value) else None


def _key(value: Any) -> Any:
    try:
        # Symmetric keys sign nothing here; those to encrypt with, neither.
        if value.get("kty") == "oct" or value.get("use", "sig") != "sig":
            return None
        return KeySet.import_key_set({"keys": [value]}).keys[0]
    except (JoseError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _has(keys: KeySet, key_id: str) -> bool:
    return any(key.kid == key_id for key in keys.keys)
