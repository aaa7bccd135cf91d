"""Whose tokens calls carry: what Airflow's validator said is kept only while it cannot change."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.api_fastapi.auth.tokens import JWKS, JWTGenerator, JWTValidator, generate_private_key

from orrery.executor.batch_regular_compat import Identities, Identity

pytestmark = pytest.mark.contract

TASK = "01a209c8-3b49-798e-9254-973d5bb0411f"
SECRET = "0123456789abcdef" * 4


class Services:
    """Gives the validator, and counts how often it is asked to validate."""

    def __init__(self, validator: JWTValidator) -> None:
        self.validator, self.validated = validator, 0
        self._original = validator.avalidated_claims

    async def aget(self, _: type) -> Any:
        outer = self

        class Counting:
            secret_key = self.validator.secret_key

            async def avalidated_claims(self, token: str, required: dict[str, Any]) -> dict[str, Any]:
                outer.validated += 1
                claims: dict[str, Any] = await outer._original(token, required)
                return claims

        self._counting = getattr(self, "_counting", Counting())
        return self._counting


def symmetric() -> tuple[JWTGenerator, Services]:
    known = {"secret_key": SECRET, "audience": "us"}
    return JWTGenerator(**known, valid_for=600), Services(JWTValidator(**known, leeway=0))


def asymmetric() -> tuple[JWTGenerator, Services]:
    key = generate_private_key("Ed25519")
    generator = JWTGenerator(private_key=key, audience="us", valid_for=600, kid="kid")
    keys = JWKS.from_private_key((key, "kid"))
    return generator, Services(JWTValidator(jwks=keys, audience="us", leeway=0, algorithm=["EdDSA"]))


def ask(identities: Identities, services: Services, token: str) -> Identity | None:
    return asyncio.run(identities.of(f"Bearer {token}", services))


def test_a_token_of_the_one_key_is_validated_once() -> None:
    generator, services = symmetric()
    identities, token = Identities(), generator.generate(extras={"sub": TASK, "scope": "execution"})

    found = [ask(identities, services, token) for _ in range(3)]

    assert found[0] is not None
    assert (found[0].task, found[0].scope, found[0].is_to_be_renewed()) == (TASK, "execution", False)
    assert found[1:] == found[:1] * 2
    assert services.validated == 1


def test_a_token_of_a_public_key_is_validated_each_time() -> None:
    generator, services = asymmetric()
    identities, token = Identities(), generator.generate(extras={"sub": TASK})

    assert None not in [ask(identities, services, token) for _ in range(3)]
    assert services.validated == 3


def test_a_refused_token_is_nobodys_and_not_kept() -> None:
    generator, services = symmetric()
    identities, token = Identities(), generator.generate(extras={"sub": TASK})

    assert ask(identities, services, token[:-6] + "AAAAAA") is None
    assert ask(identities, services, generator.generate(extras={"sub": "somebody"})) is None
    assert identities._known == {}


def test_a_kept_token_ends_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, services = symmetric()
    identities = Identities()
    token = generator.generate(extras={"sub": TASK}, valid_for=1)
    assert ask(identities, services, token) is not None

    later = time.time() + 2
    monkeypatch.setattr("orrery.executor.batch_regular_compat.time.time", lambda: later)
    ask(identities, services, token)

    assert services.validated == 2


def test_no_more_tokens_are_kept_than_allowed() -> None:
    generator, services = symmetric()
    identities = Identities(most=2)
    for _ in range(4):
        ask(identities, services, generator.generate(extras={"sub": TASK}))

    assert len(identities._known) == 2
