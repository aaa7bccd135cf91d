"""The generated part of docs/access/roles.md: what each role may, from the tables that decide it.

`python -m orrery.auth.reference docs/access/roles.md` makes it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from orrery.auth.permissions import ACCESS_PERMISSIONS, DAG_PERMISSIONS, DEPLOYMENT_PERMISSIONS, OF_EVERYBODY
from orrery.auth.roles import BUILT_IN

_BEGIN, _END = "<!-- begin roles -->", "<!-- end roles -->"
#: Of the columns: two letters each, as the legend says.
_SHORT: Final = {
    "organization-owner": "OO",
    "organization-billing-admin": "OB",
    "organization-member": "OM",
    "workspace-owner": "WO",
    "workspace-operator": "Op",
    "workspace-author": "Au",
    "workspace-member": "Me",
    "workspace-accessor": "Ac",
    "deployment-admin": "DA",
    "dag-author": "dA",
    "dag-viewer": "dV",
}


def renewed(page: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{after}"


def tables() -> str:
    """Return the legend, and a table for each kind of permission."""
    legend = ["| | Role | Given at |", "|---|---|---|"]
    legend += [
        f"| {_SHORT[role.name]} | {role.title} (`{role.name}`) | {', '.join(role.scopes)} |"
        for role in BUILT_IN.values()
    ]
    parts = ["\n".join(legend)]
    for title, table in (
        ("Of a Dag", DAG_PERMISSIONS),
        ("Of the deployment", DEPLOYMENT_PERMISSIONS),
        ("Of access, and above the deployment", ACCESS_PERMISSIONS),
    ):
        lines = [
            f"| Permission | What it allows | {' | '.join(_SHORT[name] for name in BUILT_IN)} |",
            f"|---|---|{':-:|' * len(BUILT_IN)}",
        ]
        for permission, meaning in table.items():
            has = ("x" if permission in role.permissions else " " for role in BUILT_IN.values())
            name = f"`{permission}`" + (" (everybody)" if permission in OF_EVERYBODY else "")
            lines.append(f"| {name} | {meaning} | {' | '.join(has)} |")
        parts.append(f"### {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    _page = Path(sys.argv[1])
    _page.write_text(renewed(_page.read_text(encoding="utf-8")), encoding="utf-8")
