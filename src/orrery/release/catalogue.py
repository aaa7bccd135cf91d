"""The catalogue: every line and release that Orrery knows, read once from catalogue.toml."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery.errors import InputError
from orrery.release import reader
from orrery.release.parity import Parity, airflow_minor
from orrery.release.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.release.line import Line, Policy, Release


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything known, in ascending order of line and version."""

    policy: Policy
    lines: tuple[Line, ...]

    @functools.cached_property
    def lines_by_number(self) -> Mapping[int, Line]:
        """The lines, by major version."""
        return {line.number: line for line in self.lines}

    @functools.cached_property
    def releases(self) -> tuple[Release, ...]:
        """All known releases, oldest version first."""
        return tuple(release for line in self.lines for release in line.releases)

    @functools.cached_property
    def parity(self) -> Parity:
        """The table of lines and Airflow minors."""
        return Parity({line.number: line.airflow for line in self.lines})

    @property
    def newest(self) -> Release:
        """The newest release that this project builds."""
        return next(line.newest for line in reversed(self.lines) if line.is_built and line.newest)

    def line(self, number: int) -> Line:
        """Return a line. Raises InputError for a number that is not in the catalogue."""
        if found := self.lines_by_number.get(number):
            return found
        nearest = min(self.lines_by_number, key=lambda known: abs(known - number))
        first, last = self.lines[0].number, self.lines[-1].number
        raise InputError(
            f"There is no line {number}; the catalogue holds {first} to {last}.",
            hint=f"Did you mean {nearest}? See 'orrery release list'.",
        )

    def find(self, version: Version) -> Release | None:
        """Return exactly that release, or None."""
        return next((release for release in self.releases if release.version == version), None)

    def get(self, version: Version) -> Release:
        """Return exactly that release. Raises InputError, with the nearest, when there is none."""
        if found := self.find(version):
            return found
        raise self._unknown(str(version))

    def release(self, text: str) -> Release:
        """Return the release for `17.0.0`, or the newest of a line (`17`) or of a minor (`17.0`).

        Raises InputError, with the nearest known version, when there is none.
        """
        text = text.strip()
        if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
            prefix = tuple(int(number) for number in text.split("."))
            within = tuple(r for r in self.releases if _numbers(r.version)[: len(prefix)] == prefix)
            if within:
                return _sound(within)[-1]
        else:
            try:
                return self.get(Version.parse(text))
            except InputError:
                pass
        raise self._unknown(text)

    def newest_patch(self, release: Release) -> Release:
        """Return what to run instead of this release: the newest of its line, which may be itself.

        Fixes land only in the newest release of a line, and releases of a line are compatible.
        """
        return self.line(release.version.major).newest or release

    def nearest(self, text: str) -> Version:
        """Return the known version that somebody who typed `text` most likely meant."""
        # An Airflow version, or a build named after one (3.3-8): the line that follows it.
        line = self.parity.runtime_for_airflow(text) if airflow_minor(text) else None
        if line is not None and (newest := self.lines_by_number[line].newest):
            return newest.version
        if re.fullmatch(r"\d{1,6}(\.\d{1,6}){0,2}", text, re.ASCII):
            wanted = [int(number) for number in text.split(".")]
            return min(
                (release.version for release in self._candidates(wanted[0])),
                key=lambda v: [abs(a - b) for a, b in zip(_numbers(v), wanted, strict=False)],
            )
        names = [str(release.version) for release in self.releases]
        close = difflib.get_close_matches(text, names, n=1)
        return Version.parse(close[0]) if close else self.newest.version

    def _candidates(self, number: int) -> tuple[Release, ...]:
        """Return what to suggest in place of a version of that line: its releases, else those built here."""
        line = self.lines_by_number.get(number)
        own = line.releases if line else ()
        return _sound(own or tuple(r for line in self.lines if line.is_built for r in line.releases))

    def _unknown(self, text: str) -> InputError:
        number = re.match(r"(\d{1,3})(\.|$)", text, re.ASCII)
        line = self.lines_by_number.get(int(number[1])) if number else None
        about = f" Line {line.number} (Airflow {line.airflow}) is {line.status}." if line else ""
        return InputError(
            f"'{text}' is not a release in the catalogue.{about}",
            hint=f"Did you mean {self.nearest(text)}? See 'orrery release list'.",
        )


@functools.cache
def load() -> Catalogue:
    """Return the catalogue that ships with this package."""
    text = importlib.resources.files("orrery.release").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> Catalogue:
    """Read a catalogue from TOML. Raises what `reader.read` raises where it is not well formed."""
    policy, lines = reader.read(text)
    return Catalogue(policy=policy, lines=lines)


def _sound(releases: tuple[Release, ...]) -> tuple[Release, ...]:
    """Leave out what was withdrawn, unless all of it was."""
    return tuple(release for release in releases if not release.yanked) or releases


def _numbers(version: Version) -> tuple[int, int, int]:
    return version.major, version.minor, version.patch
