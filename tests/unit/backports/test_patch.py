"""Wrapping a method: around the original, once, and with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable


class Base:
    factor = 2

    def double(self, number: int) -> int:
        """Say it twice."""
        return number * self.factor

    @classmethod
    def name(cls) -> str:
        return cls.__name__


def and_one(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: original(*arguments) + type(original(*arguments))(1)


@pytest.fixture
def kind() -> type[Base]:
    return type("Kind", (Base,), dict(Base.__dict__))


def test_a_method_is_wrapped_once_and_keeps_its_name(kind: type[Base]) -> None:
    wrap(kind, "double", and_one)
    wrap(kind, "double", and_one)
    assert kind().double(3) == 7
    assert kind.double.__doc__ == "Say it twice."


def test_a_class_method_stays_one(kind: type[Base]) -> None:
    wrap(kind, "name", and_one)
    wrap(kind, "name", and_one)
    assert kind.name() == "Kind1"
    child: type[Base] = type("Child", (kind,), {})
    assert child.name() == "Child1"


def test_a_method_that_is_gone_is_an_error(kind: type[Base]) -> None:
    with pytest.raises(KeyError):
        wrap(kind, "triple", and_one)
