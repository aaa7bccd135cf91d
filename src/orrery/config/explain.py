"""Where the value of an option comes from, and why Orrery's default is what it is.

Computed from the same rules that `orrery.boot` applies, without Airflow and without side effects.
Sensitive values never leave this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orrery.config import airflow_file, bundles, defaults, options, plan, secrets
from orrery.config.plan import Situation
from orrery.config.user import UserSettings
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.config.capacity import Machine
    from orrery.config.options import Option, Options
    from orrery.config.settings import Settings
    from orrery.config.user import Given

HIDDEN = "***"

_PASSWORD_IN_URL = re.compile(r"(\b[\w+.-]+://[^\s:/@]*:)[^\s/@]+(@)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One option: its value, who has set it, and what it would be otherwise."""

    section: str
    option: str
    variable: str
    value: str | None
    #: `environment` or `airflow.cfg`, each also `... (old name X)`; `deployment`; `orrery`; `airflow`.
    source: str
    airflow_default: str | None
    orrery_default: str | None
    why: str | None
    description: str
    note: str | None = None

    @property
    def is_changed(self) -> bool:
        """Whether somebody, the user, the deployment or Orrery, has set the option."""
        return self.source != "airflow"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """What a local deployment lays over the user's settings: `values` by variable.

    `env_file` names the user's variables that come from the project's `.env`, not from the shell.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    env_file: frozenset[str] = frozenset()

    def note_on(self, given: Given, option: Option) -> str:
        """Return why a value of the user's is not used."""
        where = "airflow.cfg"
        if given.in_environment:
            where = ".env" if given.name in self.env_file else "the shell"
        value = _shown(HIDDEN if given.value is None else given.value, hide=option.is_sensitive)
        # A file or another name loses to the option's variable; that one loses only to a fixed value.
        why = (
            "fixes this option"
            if given.name == option.variable
            else f"sets {option.variable}, which wins over {given.name}"
        )
        return f"Your value {value or '(empty)'} of {where} is not used: orrery up {why}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """All settings of one environment, ready to be explained."""

    options: Options
    situation: Situation
    #: Orrery's defaults under the profile; empty when they are switched off.
    defaults: Mapping[tuple[str, str], defaults.Default]
    defaults_on: bool
    deployment: Deployment

    def explain(self, name: str) -> Explanation:
        """Explain the option of that name.

        Raises:
            InputError: there is no such option.
        """
        return self._explanation(self.options.find(name))

    def all(self) -> list[Explanation]:
        """Explain every option, in the order of sections and names."""
        return [self._explanation(option) for option in self.options.all]

    def _explanation(self, option: Option) -> Explanation:
        given = self.situation.user.given(*option.key)
        note = None
        if given and given.value is None and not option.is_sensitive:
            note = (
                f"{given.name} has no effect: Airflow reads commands and secrets for sensitive options only."
            )
        airflows = self._airflow_default(option)
        ours, why = self._orrery_default(option)
        value: str | None
        is_bundles = option.key == (bundles.SECTION, bundles.OPTION)
        if option.variable in self.deployment.values:
            value, source = self.deployment.values[option.variable], "deployment"
            note = self.deployment.note_on(given, option) if given else None
        elif given and not note:
            # What a command or a secrets backend would give stays unknown, and secret.
            text = HIDDEN if given.value is None else given.value
            value = self._with_system_bundle(text) if is_bundles and self.defaults_on else text
            source = _source(given)
        elif ours is not None and (given is None or is_bundles):
            value, source = ours, "orrery"
        else:
            value, source = airflows, "airflow"
        hide = option.is_sensitive
        return Explanation(
            section=option.section,
            option=option.option,
            variable=option.variable,
            value=_shown(value, hide=hide),
            source=source,
            airflow_default=_shown(airflows, hide=hide),
            orrery_default=_shown(ours, hide=hide),
            why=why,
            description=option.description,
            note=note,
        )

    def _with_system_bundle(self, text: str) -> str:
        expanded = airflow_file.expand(text, self.situation.user.environment)
        return bundles.with_system_bundle(expanded) or text

    def _airflow_default(self, option: Option) -> str | None:
        if option.default is None:
            return None
        home = airflow_file.home(self.situation.user.environment)
        return option.default.replace("{AIRFLOW_HOME}", str(home))

    def _orrery_default(self, option: Option) -> tuple[str | None, str | None]:
        if default := self.defaults.get(option.key):
            return plan.value_of(default, self.situation), default.why
        if not self.defaults_on:
            return None, None
        if option.key == (bundles.SECTION, bundles.OPTION):
            return bundles.with_system_bundle(None), bundles.WHY
        for secret in secrets.SECRETS:
            replaced = secret.instead and self.situation.user.given(*secret.instead)
            if option.key == (secret.section, secret.option) and not replaced:
                return HIDDEN, secret.why
        return None, None


def configuration(
    environment: Mapping[str, str],
    settings: Settings,
    *,
    profile: str | None,
    machine: Machine,
    deployment: Deployment | None = None,
) -> Configuration:
    """Return the configuration that Airflow would have in an environment, which must be the user's alone.

    `deployment` says what is laid over it before Airflow sees it.

    Raises:
        InputError: the airflow.cfg cannot be read.
    """
    file = airflow_file.read(airflow_file.path_of(environment))
    if file.problem:
        raise InputError(file.problem, hint="Correct the file; Airflow cannot start with it either.")
    known = defaults.load()
    catalogue = options.load(old_names=known.old_names)
    # Which old names count: with Orrery's defaults off, only those that Airflow itself still reads.
    old_names = catalogue.old_names if settings.defaults_on else options.load().old_names
    user = UserSettings(environment=environment, file=file, old_names=old_names)
    return Configuration(
        options=catalogue,
        situation=Situation(user=user, machine=machine, worker_slots=settings.worker_slots),
        defaults=known.of_profile(profile) if settings.defaults_on else {},
        defaults_on=settings.defaults_on,
        deployment=deployment or Deployment(),
    )


def _source(given: Given) -> str:
    source = "environment" if given.in_environment else "airflow.cfg"
    return f"{source} (old name {given.name})" if given.old_name else source


def _shown(value: str | None, *, hide: bool) -> str | None:
    if value is None or value == "":
        return value
    return HIDDEN if hide else _PASSWORD_IN_URL.sub(rf"\1{HIDDEN}\2", value)
