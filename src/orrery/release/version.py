"""A runtime version: major.minor.patch, where the major is the line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orrery.errors import InputError

_NUMBER = r"(0|[1-9]\d{0,5})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """One runtime version; versions are ordered by their numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `17.0.0`. Raises InputError for anything else, also for a line (`17`) or an Airflow build."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"'{text}' is not a runtime version.",
                hint="Write it as major.minor.patch, for instance 17.0.0; see 'orrery release list'.",
            )
        major, minor, patch = match.groups()
        return cls(int(major), int(minor), int(patch))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"
