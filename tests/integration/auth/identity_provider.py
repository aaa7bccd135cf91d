"""An identity provider that can be told to misbehave, on loopback. The good path also has a real one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "the client's secret: with a colon"
#: As a form has it (RFC 6749, section 2.3.1).
ENCODED = "the%20client%27s%20secret%3A%20with%20a%20colon"


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def new_key(key_id: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": key_id, "use": "sig"})


@dataclass
class IdentityProvider:
    """Its address, what it says, and what it was asked."""

    url: str
    client_id: str = "orrery"
    key: RSAKey = field(default_factory=lambda: new_key("first"))
    #: Keys that it tells of; by default the one that it signs with.
    published: list[RSAKey] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    is_away: bool = False
    #: How many times its keys were asked for.
    key_fetches: int = 0
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def code(self, query: dict[str, str], *, algorithm: str = "RS256", **claims: Any) -> str:
        """Sign somebody in, and return the code that their browser is sent back with."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": self.client_id,
            "sub": "subject-1",
            "preferred_username": "ada",
            "email": "ada@example.org",
            "email_verified": True,
            "groups": ["pilots"],
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 300,
        } | claims
        code = f"code-{len(self._codes)}"
        self._codes[code] = {
            "claims": {name: value for name, value in said.items() if value is not None},
            "challenge": query["code_challenge"],
            "redirect_uri": query["redirect_uri"],
            "algorithm": algorithm,
        }
        return code

    def token(self, code: str) -> str:
        """Return the ID token of a code."""
        kept = self._codes[code]
        if kept["algorithm"] in {"none", "HS256"}:
            head = {"alg": kept["algorithm"], "kid": self.key.kid}
            text = ".".join(_base64(json.dumps(each).encode()) for each in (head, kept["claims"]))
            # What a client that mixes up keys and secrets would take: the public key as a secret.
            public = self.key.as_pem(private=False)
            signature = b"" if head["alg"] == "none" else hmac.digest(public, text.encode(), "sha256")
            return f"{text}.{_base64(signature)}"
        return jwt.encode({"alg": kept["algorithm"], "kid": self.key.kid}, kept["claims"], self.key)

    def answer(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        """Answer a request: status and JSON."""
        if self.is_away:
            return 503, {}
        match path:
            case "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    "end_session_endpoint": f"{self.url}/end",
                    **({"userinfo_endpoint": f"{self.url}/userinfo"} if self.userinfo is not None else {}),
                } | self.metadata
            case "/keys":
                self.key_fetches += 1
                keys = self.published if self.published is not None else [self.key]
                return 200, {"keys": [key.as_dict(private=False) for key in keys]}
            case "/userinfo":
                return (200, self.userinfo) if headers.get("authorization") == "Bearer access" else (401, {})
            case "/token":
                return self._exchange(form, headers)
        return 404, {}

    def _exchange(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        kind, _, pair = headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        if kind != "Basic" or (name, secret) != (
            self.client_id,
            ENCODED,
        ):
            return 401, {"error": "invalid_client"}
        kept = self._codes.get(form["code"])
        challenge = _base64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if (
            kept is None
            or kept.get("used")
            or challenge != kept["challenge"]
            or form["redirect_uri"] != kept["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        kept["used"] = True
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": self.token(form["code"])}


def serve() -> Iterator[IdentityProvider]:
    """Serve one on a free port of loopback, for as long as it is needed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._reply({name: values[0] for name, values in parse_qs(body).items()})

        def _reply(self, form: dict[str, str]) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, value = provider.answer(urlsplit(self.path).path, form, headers)
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = IdentityProvider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
