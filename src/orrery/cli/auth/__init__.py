"""`orrery auth`: people, teams, roles, bindings, tokens, explanations, the audit of the local deployment."""

from __future__ import annotations

import click

from orrery.cli.auth.apply import apply
from orrery.cli.auth.audit import audit
from orrery.cli.auth.bindings import bindings
from orrery.cli.auth.explain import explain
from orrery.cli.auth.invitations import invitations
from orrery.cli.auth.recovery import bootstrap, reset_password
from orrery.cli.auth.roles import roles
from orrery.cli.auth.teams import teams
from orrery.cli.auth.tokens import tokens
from orrery.cli.auth.users import users


@click.group()
def auth() -> None:
    """Manage people, teams, roles, bindings and tokens.

    The commands act on the running deployment of the project around this folder, as its 'admin'.
    """


for _command in (
    users,
    invitations,
    teams,
    roles,
    bindings,
    tokens,
    explain,
    audit,
    bootstrap,
    reset_password,
    apply,
):
    auth.add_command(_command)
