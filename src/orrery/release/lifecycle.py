"""The life of a line: feature, bugfix, security, end-of-life. Pure: the day is always an argument."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from typing import Literal

State = Literal["feature", "bugfix", "security", "end-of-life"]

#: What each state means to who runs a deployment, in the order of a line's life.
MEANING: dict[State, str] = {
    "feature": "not released yet: everything may still change",
    "bugfix": "bugs and vulnerabilities are fixed, compatible function is added",
    "security": "only vulnerabilities are fixed",
    "end-of-life": "nothing is fixed any more: upgrade to a later line",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Support:
    """For how long a line is looked after, in months from its first release."""

    bugfix_months: int
    security_months: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """On `day` the line enters `state`."""

    day: date
    state: State


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifecycle:
    """The dates of one line. An end is the last day on which the state still holds."""

    released: date
    bugfix_ends: date
    security_ends: date

    def state_on(self, day: date) -> State:
        """Return the state that holds on that day."""
        if day < self.released:
            return "feature"
        if day <= self.bugfix_ends:
            return "bugfix"
        if day <= self.security_ends:
            return "security"
        return "end-of-life"

    def days_left(self, day: date) -> int:
        """Return the days until the end of life: 0 on the last day with fixes, and for ever after."""
        return max(0, (self.security_ends - day).days)

    def next_change(self, day: date) -> Change | None:
        """Return the next day on which the state changes, or None after the end of life."""
        starts = [self.released, _day_after(self.bugfix_ends), _day_after(self.security_ends)]
        # Two starts coincide where a line had no security phase: the state of that day is the later one.
        later = [start for start in starts if start > day]
        return Change(day=later[0], state=self.state_on(later[0])) if later else None


def lifecycle(first_release: date, support: Support) -> Lifecycle:
    """Return the dates that the policy gives to a line first released on that day."""
    bugfix_ends = month_end(first_release, support.bugfix_months)
    return Lifecycle(
        released=first_release,
        bugfix_ends=bugfix_ends,
        security_ends=month_end(bugfix_ends, support.security_months),
    )


def month_end(day: date, months: int) -> date:
    """Return the last day of the month that lies `months` months after the month of `day`."""
    years, month_index = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month_index + 1
    return date(year, month, calendar.monthrange(year, month)[1])


def _day_after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
