"""What the user has set, and where: the part of the precedence that is above Orrery's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orrery.config.airflow_file import AirflowFile
    from orrery.config.defaults import OldName

_INDIRECT = ("_CMD", "_SECRET")


def variable_of(section: str, option: str) -> str:
    """Return the name of the environment variable that Airflow reads for an option."""
    return f"AIRFLOW__{section.replace('.', '_').upper()}__{option.upper()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One option that the user has set.

    `value` is None when a command or a secrets backend is to give it (`..._CMD`, `..._SECRET`). `name` is
    the variable, or `section.option` in the file; `old_name` is set when it is not today's name.
    """

    value: str | None
    in_environment: bool
    name: str
    old_name: OldName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserSettings:
    """The user's environment and airflow.cfg, asked in Airflow's order."""

    environment: Mapping[str, str]
    file: AirflowFile
    old_names: tuple[OldName, ...] = ()

    def given(self, section: str, option: str) -> Given | None:
        """Return what the user has set for an option, under today's name or an old one, or None."""
        return next(self._all_given(section, option), None)

    def ignored_old_names(self, section: str, option: str) -> Iterator[tuple[OldName, str]]:
        """Yield the old names whose value had a meaning that the option of today cannot express."""
        for old in self._old_names_of(section, option):
            value = self.environment.get(old.variable)
            if value is not None and value in old.ignored_values:
                yield old, value

    def _all_given(self, section: str, option: str) -> Iterator[Given]:
        # Airflow's order: environment, file, commands in the file, secrets in the file; each time the
        # name of today before the old one. An empty value is a value.
        old_names = self._old_names_of(section, option)
        yield from self._in_environment(variable_of(section, option), None)
        for old in old_names:
            yield from self._in_environment(old.variable, old)
        places: list[tuple[str, str, OldName | None]] = [(section, option, None)]
        places += [(*old.place, old) for old in old_names if old.place]
        for suffix in ("", *_INDIRECT):
            for in_section, in_option, name in places:
                yield from self._in_file(in_section, in_option, suffix.lower(), name)

    def _in_environment(self, variable: str, old: OldName | None) -> Iterator[Given]:
        value = self.environment.get(variable)
        if value is not None and not (old and value in old.ignored_values):
            yield Given(value=value, in_environment=True, name=variable, old_name=old)
        for suffix in _INDIRECT:
            if variable + suffix in self.environment:
                yield Given(value=None, in_environment=True, name=variable + suffix, old_name=old)

    def _in_file(self, section: str, option: str, suffix: str, old: OldName | None) -> Iterator[Given]:
        if not self.file.has(section, option + suffix):
            return
        value = None if suffix else self.file.value(section, option)
        if not (old and value in old.ignored_values):
            yield Given(value=value, in_environment=False, name=f"{section}.{option}{suffix}", old_name=old)

    def _old_names_of(self, section: str, option: str) -> list[OldName]:
        return [old for old in self.old_names if (old.section, old.option) == (section, option)]
