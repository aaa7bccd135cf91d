"""Reads catalogue.toml into typed values. An unknown key, a missing one or a wrong value is an error."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from orrery.release.lifecycle import Lifecycle, Support, lifecycle
from orrery.release.line import EarlyFix, Line, Policy, Provider, Release, Status
from orrery.release.version import Version


def read(text: str) -> tuple[Policy, tuple[Line, ...]]:
    """Return the policy and the lines in ascending order.

    Raises KeyError, TypeError or ValueError: the file ships with the package, so a fault in it is ours.
    """
    document = tomllib.loads(text)
    policy = _policy(document["policy"])
    lines = (_line(table, policy.support) for table in document["lines"])
    return policy, tuple(sorted(lines, key=lambda line: line.number))


def _policy(table: dict[str, Any]) -> Policy:
    support = Support(bugfix_months=table.pop("bugfix_months"), security_months=table.pop("security_months"))
    return Policy(support=support, **table)


def _line(table: dict[str, Any], support: Support) -> Line:
    pythons = table.pop("pythons", {})
    names = table.pop("providers", None)
    yanks = [_Yank.read(yank) for yank in table.pop("yanked", ())]
    first_release = str(table.pop("first_release"))
    status: Status = table["status"]
    if status not in get_args(Status):
        raise ValueError(f"line {table['number']}: status {status!r} is none of {get_args(Status)}")
    end = table.pop("end_of_life", None)
    return Line(
        first_release=first_release,
        dates_certain=table.pop("dates_certain", True),
        note=table.pop("note", None),
        python_default=pythons.get("default"),
        python_supported=_strings(pythons.get("supported")),
        os=_strings(table.pop("os", None)),
        architectures=_strings(table.pop("architectures", None)),
        providers=tuple(Provider(name=name) for name in names) if names is not None else None,
        lifecycle=_lifecycle(status, first_release, end, support),
        releases=tuple(
            sorted(
                (_release(release, yanks) for release in table.pop("releases", ())),
                key=lambda release: release.version,
            )
        ),
        **table,
    )


def _lifecycle(status: Status, first_release: str, end: date | None, support: Support) -> Lifecycle | None:
    """Built lines follow the policy; history keeps the end it had, where that is known."""
    if status == "built here":
        return lifecycle(date.fromisoformat(first_release), support)
    if end is None:
        return None
    return Lifecycle(released=date.fromisoformat(first_release), bugfix_ends=end, security_ends=end)


def _release(table: dict[str, Any], yanks: list[_Yank]) -> Release:
    version = Version.parse(table.pop("version"))
    providers = table.pop("providers", None)
    fixes = table.pop("early_fixes", None)
    return Release(
        version=version,
        yanked=next((yank.why for yank in yanks if yank.first <= version <= yank.last), None),
        providers=tuple(Provider(**provider) for provider in providers) if providers is not None else None,
        early_fixes=tuple(EarlyFix(**fix) for fix in fixes) if fixes is not None else None,
        **table,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Yank:
    """Withdrawn versions, first to last inclusive, and why."""

    first: Version
    last: Version
    why: str

    @classmethod
    def read(cls, table: dict[str, str]) -> _Yank:
        return cls(first=Version.parse(table["first"]), last=Version.parse(table["last"]), why=table["why"])


def _strings(values: list[str] | None) -> tuple[str, ...] | None:
    return tuple(values) if values is not None else None
