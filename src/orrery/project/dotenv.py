"""The `.env` file: environment variables of a local deployment."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from orrery.errors import InputError
from orrery.project.text import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvFile:
    """What a `.env` file sets, and what was passed over in it."""

    values: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def read_env_file(file: Path, environment: Mapping[str, str]) -> EnvFile:
    """Read a `.env` file; `${NAME}` is looked up in the lines above, then in `environment`.

    An absent file sets nothing. Its mode is not judged: many are 0644. A key without a value is passed
    over with a notice. Raises InputError that names the line of what is no assignment; the line itself is not
    repeated, for it may hold a secret.
    """
    values: dict[str, str] = {}
    notices: list[str] = []
    for binding in parse_stream(io.StringIO(read_text(file))):
        line = _line(binding)
        if binding.error or (binding.value and "\0" in binding.value):
            raise InputError(
                f"{file}:{line}: this line is no assignment.",
                hint='Write NAME=value; put values with spaces, # or quotes into "double quotes".',
            )
        if binding.key is None:  # a comment or an empty line
            continue
        if binding.value is None:
            notices.append(
                f"{file.name}:{line}: {binding.key} has no value and is ignored; write {binding.key}="
            )
            continue
        known = {**environment, **values}
        values[binding.key] = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
    return EnvFile(values=values, notices=tuple(notices))


def _line(binding: Binding) -> int:
    """Return the line of a binding, which begins with the empty lines above it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
