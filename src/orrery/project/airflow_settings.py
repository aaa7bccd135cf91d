"""Astro's `airflow_settings.yaml`: connections, pools and variables of a local deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from orrery.errors import InputError
from orrery.project.text import read_text

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A connection of Airflow's. `extra` is JSON text; None means: not given."""

    id: str
    type: str
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    extra: str | None = None

    def __repr__(self) -> str:  # never a password in a log or a traceback
        return f"Connection(id={self.id!r}, type={self.type!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A pool of Airflow's; -1 slots means without limit."""

    name: str
    slots: int
    description: str = ""
    include_deferred: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A variable of Airflow's; its value is text, JSON where the file has a list or a mapping."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Variable(name={self.name!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class AirflowSettings:
    """Everything that the file asks for."""

    connections: tuple[Connection, ...] = ()
    pools: tuple[Pool, ...] = ()
    variables: tuple[Variable, ...] = ()


def read_airflow_settings(file: Path) -> AirflowSettings:
    """Read the file; an absent one, and the empty entries of a fresh Astro project, ask for nothing.

    Unknown keys are passed over, as Astro does. Raises InputError that names the file and the key, never a
    value: it may be a password.
    """
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InputError(f"{file}{where}: this is not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    airflow = _Entry(file, "airflow", _Entry(file, "", content).section("airflow"))
    return AirflowSettings(
        connections=tuple(_connection(entry) for entry in airflow.entries("connections", "conn_")),
        pools=tuple(_pool(entry) for entry in airflow.entries("pools", "pool_")),
        variables=tuple(_variable(entry) for entry in airflow.entries("variables", "variable_")),
    )


#: The keys that Astro gives to the entries of a list.
_KEYS = {
    "connections": (
        "conn_id, conn_type, conn_host, conn_schema, conn_login, conn_password, conn_port and conn_extra, "
        "or conn_id and conn_uri"
    ),
    "pools": "pool_name, pool_slot, pool_description and pool_include_deferred",
    "variables": "variable_name and variable_value",
}


def _hint(place: str) -> str:
    """Name the keys that there are at a place of the file."""
    for section, keys in _KEYS.items():
        if place.startswith(f"airflow.{section}["):
            return f"An entry of {section} has {keys}."
    return f"Below the key airflow stand the lists {', '.join(_KEYS)}; in each, entries with keys and values."


class _Entry:
    """A mapping of the file that knows its place in it."""

    def __init__(self, file: Path, place: str, content: object) -> None:
        self.file, self.place = file, place
        if content is not None and not isinstance(content, Mapping):
            raise self.wrong("", "is no mapping of keys and values")
        self.content: Mapping[object, object] = content or {}

    def wrong(self, key: str, reason: str) -> InputError:
        where = ".".join(part for part in (self.place, key) if part) or "its content"
        return InputError(f"{self.file}: {where} {reason}.", hint=_hint(where))

    def section(self, key: str) -> object:
        return self.content.get(key)

    def entries(self, key: str, prefix: str) -> list[_Entry]:
        """Return the entries of a list; those without any value are templates and left out."""
        listed = self.content.get(key)
        if listed is None:
            return []
        if not isinstance(listed, list):
            raise self.wrong(key, "is no list")
        entries = [
            _Entry(self.file, f"{self.place}.{key}[{place}]", item) for place, item in enumerate(listed)
        ]
        return [entry for entry in entries if entry.is_filled(prefix)]

    def is_filled(self, prefix: str) -> bool:
        return any(
            value not in (None, "") for key, value in self.content.items() if str(key).startswith(prefix)
        )

    def text(self, key: str) -> str | None:
        """Return a value as text: numbers and booleans as written in JSON, lists and mappings as JSON."""
        value = self.content.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        try:
            return json.dumps(value)
        except (TypeError, ValueError) as error:  # a date, for instance
            raise self.wrong(key, "is no text; put it in quotes") from error

    def needed(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def number(self, key: str) -> int | None:
        value = self.text(key)
        try:
            return None if value is None else int(value)
        except ValueError as error:
            raise self.wrong(key, "is no whole number") from error


def _connection(entry: _Entry) -> Connection:
    id_ = entry.needed("conn_id")
    uri = entry.text("conn_uri")
    if uri is not None:
        return _from_uri(entry, id_, uri)
    port = entry.number("conn_port")
    extra = entry.text("conn_extra")
    if extra is not None:
        _check_json_object(entry, "conn_extra", extra)
    return Connection(
        id=id_,
        type=entry.needed("conn_type"),
        host=entry.text("conn_host"),
        schema=entry.text("conn_schema"),
        login=entry.text("conn_login"),
        password=entry.text("conn_password"),
        port=port or None,  # Astro writes 0 for none
        extra=extra,
    )


def _check_json_object(entry: _Entry, key: str, text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise entry.wrong(key, "is neither a mapping nor JSON text") from error
    if not isinstance(value, dict):
        raise entry.wrong(key, "is no JSON object")


def _from_uri(entry: _Entry, id_: str, uri: str) -> Connection:
    """Take apart a connection URI as Airflow writes them: scheme is the type, the query is `extra`."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise entry.wrong("conn_uri", "is no URI; percent-encode special characters") from error
    if not parts.scheme:
        raise entry.wrong("conn_uri", "is no URI; it begins with the connection's type, as in postgres://")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = query.pop("__extra__", None) or (json.dumps(query) if query else None)
    if extra is not None:
        _check_json_object(entry, "conn_uri", extra)
    return Connection(
        id=id_,
        type="postgres" if parts.scheme == "postgresql" else parts.scheme.replace("-", "_"),
        host=unquote(parts.hostname) if parts.hostname else None,
        schema=unquote(parts.path.lstrip("/")) or None,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        port=port,
        extra=extra,
    )


def _pool(entry: _Entry) -> Pool:
    name = entry.needed("pool_name")
    slots = entry.number("pool_slot")
    if slots is None:
        raise entry.wrong("pool_slot", "is missing")
    return Pool(
        name=name,
        slots=slots,
        description=entry.text("pool_description") or "",
        include_deferred=entry.text("pool_include_deferred") == "true",
    )


def _variable(entry: _Entry) -> Variable:
    return Variable(name=entry.needed("variable_name"), value=entry.text("variable_value") or "")
