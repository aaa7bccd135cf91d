"""A real OpenID provider that others wrote, as a process of its own on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from orrery.local import ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def serve(people: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Serve one that knows these people, by their claims; give its address."""
    port = ports.free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    for claims in people:
        command += ["--user-claims", json.dumps(claims)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                try:
                    httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False)
                    break
                except httpx.HTTPError:
                    assert process.poll() is None, "the provider has ended"
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
