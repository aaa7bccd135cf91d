"""YAML that remembers where each key stands, so that an error can name its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from orrery.errors import InputError, MachineError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

#: Where a value stands: the keys and list positions that lead to it.
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, order=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong in a file; `line` counts from 1."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a YAML file says, and where it says it."""

    values: Mapping[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest section around it, counted from 1."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's few plain types: `python: 3.10` stays text, and `name: no` is no boolean."""

    # PyYAML keeps this table on the class.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)


def read_document(file: Path) -> Document:
    """Read a YAML file whose top level is a mapping; an empty one is an empty mapping.

    Raises InputError when it is no YAML (with line and column) or no mapping, MachineError when it
    cannot be read. A duplicate key is a problem of the document, not an error: others follow.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error
    except IsADirectoryError as error:
        raise InputError(f"{file} is a folder; a file is expected.") from error
    except OSError as error:
        raise MachineError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        return _parse(text, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InputError(
            f"{file}{where}: this is not YAML: {error.problem or error.context}.",
            hint="Indent with spaces, and write `key: value` with a space after the colon.",
        ) from error
    except yaml.YAMLError as error:  # a control character, found before there are lines
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise InputError(f"{file} is nested too deeply to be a deployment file.") from error
    except ValueError as error:  # a number with thousands of digits
        raise InputError(f"{file}: {error}.") from error


def _parse(text: str, file: Path) -> Document:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(values={})
        values = loader.construct_document(root)
    finally:
        loader.dispose()
    if values is None:
        return Document(values={})
    if not isinstance(values, dict):
        raise InputError(
            f"{file}:{root.start_mark.line + 1}: found {kind(values)}; expected keys such as `runtime: ...`."
        )
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    _walk(root, (), lines, problems, set())
    return Document(values=values, lines=lines, problems=tuple(problems))


def _walk(
    node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], problems: list[Problem], seen: set[int]
) -> None:
    """Record the line of every key below `node`, and keys that stand twice."""
    if id(node) in seen:  # an alias, perhaps to itself: it has been walked
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*path, position)] = item.start_mark.line + 1
            _walk(item, (*path, position), lines, problems, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in first:
                whole = dotted((*path, key))
                problems.append(
                    Problem(line=line, text=f"`{whole}` stands twice (first on line {first[key]}); keep one.")
                )
            first.setdefault(key, line)
            lines[(*path, key)] = line
            _walk(value_node, (*path, key), lines, problems, seen)


def dotted(path: KeyPath) -> str:
    """Return a key path as people write it: `database.url`, `queues[2].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def kind(value: object) -> str:
    """Return what a value is, with its text when that is short: `the number 5`, `a list`."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else "a long text"
    return {type(None): "nothing", list: "a list", dict: "a section"}.get(type(value), "something else")
