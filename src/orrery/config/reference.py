"""The generated parts of docs/reference/configuration.md: tables made from the data that the code uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orrery.config import defaults, secrets, settings
from orrery.config.user import variable_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def renewed(page: str) -> str:
    """Return the page with each block `<!-- begin NAME -->` to `<!-- end NAME -->` made anew."""
    for name, text in blocks().items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in page or end not in page:
            msg = f"the page has no block '{name}'"
            raise ValueError(msg)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        whole = f"{begin}\n{text}\n{end}"
        page = pattern.sub(lambda _, whole=whole: whole, page)  # type: ignore[misc]
    return page


def blocks() -> dict[str, str]:
    """Return the generated blocks by name."""
    known = defaults.load()
    return {
        "defaults": _defaults(known.of_profile(None).values()),
        "local defaults": _defaults(entry for entry in known.defaults if entry.profile == "local"),
        "old names": _table(
            ("Old name", "Today", "Since"),
            [
                (
                    f"`{old.variable}`",
                    f"`{variable_of(old.section, old.option)}`",
                    old.since + (f"; 0 is ignored: {old.ignored_because}" if old.ignored_because else ""),
                )
                for old in known.old_names
            ],
        ),
        "variables": _variables(settings.VARIABLES),
        "internal variables": _variables(settings.INTERNAL_VARIABLES),
        "secrets": _table(
            ("Option", "File", "What for"),
            [
                (f"`{secret.section}.{secret.option}`", f"`{secret.file}`", secret.why)
                for secret in secrets.SECRETS
            ],
        ),
    }


def _defaults(entries: Iterable[defaults.Default]) -> str:
    return _table(
        ("Option", "Orrery", "Why", "Where the figure comes from"),
        [
            (f"`{entry.section}.{entry.option}`", f"`{entry.value or 'computed'}`", entry.why, entry.source)
            for entry in entries
        ],
    )


def _variables(entries: Iterable[settings.Variable]) -> str:
    return _table(
        ("Variable", "Default", "Meaning"),
        [(f"`{entry.name}`", entry.default, entry.meaning) for entry in entries],
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
