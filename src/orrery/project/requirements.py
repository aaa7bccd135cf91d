"""The project's `requirements.txt`: read, checked against the runtime, and fingerprinted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from orrery.errors import InputError
from orrery.project.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the runtime itself is made of: a project chooses these by choosing a runtime.
_RUNTIME_PACKAGES = frozenset(
    {"apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk", "orrery-runtime"}
)

_INCLUDE = re.compile(r"^(?:-r|--requirement)(?:\s+|=|(?<=-r))(?P<file>\S.*)$")
_CONSTRAINT = re.compile(r"^(?:-c|--constraint)(?:\s+|=|(?<=-c))(?P<file>\S.*)$")
_EDITABLE = re.compile(r"^(?:-e|--editable)(?:\s+|=|(?<=-e))(?P<what>\S.*)$")
#: Options of a whole file that pip and uv both take.
_OPTION = re.compile(
    r"^(?:-i|-f|--index-url|--extra-index-url|--no-index|--find-links|--no-binary|--only-binary|--pre|"
    r"--prefer-binary|--require-hashes|--trusted-host|--use-feature)(?:[\s=]|$)"
)
_NAME = re.compile(r"^(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?P<rest>.*)$")
#: A package given as a file or an address: its name stands in `#egg=` or in the wheel's file name.
_PLACE = re.compile(r"^(?:\.|/|~|file:|(?:git|hg|svn|bzr)\+|https?:)|\.(?:whl|tar\.gz|zip)(?:$|[#\s])")
_NAME_IN_PLACE = re.compile(
    r"#(?:.*&)?egg=(?P<egg>[A-Za-z0-9._-]+)|(?:^|/)(?P<file>[A-Za-z0-9._-]+?)-\d[^/]*\.(?:whl|tar\.gz|zip)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One requirement or option, without comments; `number` counts from 1 in `file`."""

    file: Path
    number: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What a project asks for. `digest` changes when, and only when, that changes."""

    lines: tuple[Line, ...]
    digest: str

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to install."""
        return not self.lines


def check_requirements(file: Path, *, runtime: str, airflow: str) -> Requirements:
    """Read a requirements file with those it includes; an absent one asks for nothing.

    `runtime` and `airflow` are versions, for the message. Raises InputError, with file and line, when a
    line is malformed or asks for a version of Airflow: the runtime brings it.
    """
    lines = tuple(_lines(file, ()))
    digest = hashlib.sha256()
    for line in lines:
        _check(line, runtime, airflow)
        digest.update(line.text.encode() + b"\n")
        constraint = _CONSTRAINT.match(line.text)
        if constraint and "://" not in constraint["file"]:
            digest.update(read_text(line.file.parent / constraint["file"].strip()).encode())
    return Requirements(lines=lines, digest=digest.hexdigest())


def _lines(file: Path, chain: tuple[Path, ...]) -> Iterator[Line]:
    """Yield the lines of a file, with included files in the place of their `-r` lines."""
    for number, text in _logical_lines(read_text(file)):
        line = Line(file=file, number=number, text=text)
        include = _INCLUDE.match(text)
        if not include or "://" in include["file"]:
            yield line
            continue
        other = file.parent / include["file"].strip()
        if other.resolve() in {known.resolve() for known in (*chain, file)}:
            raise _wrong(line, f"{other.name} includes itself", "Remove one of the -r lines.")
        if not other.is_file():
            raise _wrong(line, f"there is no file {other}", "Correct the path: it is relative to this file.")
        yield from _lines(other, (*chain, file))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number: comments gone, lines that end in a backslash joined."""
    joined, start = "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw[:-1] + " "
            continue
        line = " ".join(re.sub(r"(^|\s)#.*$", "", joined + raw).split())
        if line:
            yield start, line
        joined, start = "", 0
    if joined.strip():
        yield start, " ".join(joined.split())


def _check(line: Line, runtime: str, airflow: str) -> None:
    text = line.text
    if _OPTION.match(text) or _CONSTRAINT.match(text) or _INCLUDE.match(text):
        return
    asked = re.split(r"\s--(?:hash|config-settings|global-option)\b", text, maxsplit=1)[0]
    named = _NAME.match(asked)
    # Without a version it adds nothing, at most extras, under the runtime's constraints.
    is_bare = named is not None and (not named["rest"] or named["rest"].startswith(";"))
    if named and not is_bare and canonicalize_name(named["name"]) in _RUNTIME_PACKAGES:
        raise _not_yours(line, runtime, airflow)
    editable = _EDITABLE.match(text)
    place = editable["what"] if editable else text
    if editable or _PLACE.search(place.partition(" ")[0]):
        found = _NAME_IN_PLACE.search(place)
        if found and canonicalize_name(found["egg"] or found["file"]) in _RUNTIME_PACKAGES:
            raise _not_yours(line, runtime, airflow)
        return
    if "${" in asked:  # the installer fills these in
        return
    try:
        Requirement(asked)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise _wrong(line, f"{text!r} is no requirement: {reason}", "Write it as name==version.") from error


def _not_yours(line: Line, runtime: str, airflow: str) -> InputError:
    return InputError(
        f"{line.file.name} line {line.number} asks for {line.text}; "
        f"the runtime {runtime} brings Airflow {airflow}, tested together with its providers.",
        hint=f"Delete line {line.number} of {line.file}, or choose another runtime in orrery.yaml.",
    )


def _wrong(line: Line, reason: str, hint: str) -> InputError:
    return InputError(f"{line.file}:{line.number}: {reason}.", hint=hint)
