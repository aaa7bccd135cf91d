"""Which values of an environment are ours: child processes inherit them, and must not take them for the
user's.

`ORRERY_DEFAULTS_APPLIED` holds, as JSON, each variable that was set and its value (of a secret only a
digest); `ORRERY_DEFAULTS_REPLACED` the user's value where ours was merged into it. A listed variable that
has another value by now has been set by somebody else since, and is theirs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orrery.config import secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

APPLIED = "ORRERY_DEFAULTS_APPLIED"
REPLACED = "ORRERY_DEFAULTS_REPLACED"
REPORTED = "ORRERY_REPORTED"


def users_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it was before Orrery added to it."""
    before = dict(environ)
    for name in inherited(environ):
        del before[name]
    for name, value in _mapping(environ, REPLACED).items():
        before.setdefault(name, value)
    for name in (APPLIED, REPLACED):
        before.pop(name, None)
    return before


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an Orrery process above this one has set, with their values."""
    listed = _mapping(environ, APPLIED)
    return {
        name: environ[name]
        for name, value in listed.items()
        if name in environ and _recorded(name, environ[name]) == value
    }


def record(environment: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that mark `values`, about to be laid over the user's `environment`, as ours."""
    marks = {APPLIED: {name: _recorded(name, value) for name, value in values.items()}}
    marks[REPLACED] = {name: environment[name] for name in values if name in environment}
    return {name: json.dumps(mark, separators=(",", ":")) for name, mark in marks.items() if mark}


def _recorded(name: str, value: str) -> str:
    return secrets.digest(value) if name in secrets.VARIABLES else value


def _mapping(environ: Mapping[str, str], name: str) -> dict[str, str]:
    try:
        found = json.loads(environ.get(name, "{}"))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items()}
