"""Versions of Debian packages, in Debian's order (deb-version(7)). Pure."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_WORD = r"[A-Za-z0-9.+~]+"
_VERSION = re.compile(
    rf"(?:(?P<epoch>[0-9]+):)?(?P<upstream>{_WORD}(?:-{_WORD})*?)(?:-(?P<revision>{_WORD}))?"
)
#: A version is read as words that are no digits, and numbers, in turn.
_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
#: Sorts before everything, even before the end of a word.
_TILDE = -1
_END = 0
#: Letters sort before all other characters.
_AFTER_LETTERS = 256

_Key = tuple[tuple[tuple[int, ...], int], ...]


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class DebianVersion:
    """One version: `[epoch:]upstream[-revision]`."""

    text: str
    _key: tuple[int, _Key, _Key]

    @classmethod
    def parse(cls, text: str) -> DebianVersion:
        """Read a version. Raises ValueError when it is none."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' is no version of a Debian package")
        return cls(text, (int(match["epoch"] or 0), _key(match["upstream"]), _key(match["revision"] or "0")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebianVersion) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __lt__(self, other: DebianVersion) -> bool:
        return self._key < other._key

    def __str__(self) -> str:
        return self.text


def _key(text: str) -> _Key:
    # The last part is always the empty one: the end, which sorts like a word of its own.
    return tuple((_word(word), int(number or 0)) for word, number in _PARTS.findall(text))


def _word(text: str) -> tuple[int, ...]:
    return (*(_order(character) for character in text), _END)


def _order(character: str) -> int:
    if character == "~":
        return _TILDE
    return ord(character) + (0 if character.isalpha() else _AFTER_LETTERS)
