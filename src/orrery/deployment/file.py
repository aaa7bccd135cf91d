"""Read `orrery.yaml`: every error at once, each with its line, its key, what is found and expected."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Protocol, get_args, get_origin

from pydantic import BaseModel, ValidationError

from orrery.deployment.document import Document, KeyPath, Problem, dotted, kind, read_document
from orrery.deployment.model import NAME_PATTERN, Deployment
from orrery.deployment.section import COMPLAINT
from orrery.deployment.tasks import MODULE_PATTERN
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails


class Files(Protocol):
    """The little that is needed of a project."""

    @property
    def name(self) -> str:
        """The deployment's name where the file gives none."""

    @property
    def deployment_file(self) -> Path:
        """Where `orrery.yaml` is, or would be."""


def load_deployment(project: Files, environment: Mapping[str, str]) -> Deployment:
    """Return what the project's `orrery.yaml` says; an absent file gives the defaults.

    `environment` answers `${NAME}` references: give it the shell's variables over those of `.env`.
    Raises InputError that lists everything that is wrong in the file.
    """
    file = project.deployment_file
    is_there = file.exists() or file.is_symlink()  # a link to nowhere is a mistake, not an absence
    document = read_document(file) if is_there else Document(values={})
    problems = list(document.problems)
    try:
        deployment = Deployment.model_validate(
            {"name": project.name, **_given(document)}, context={"environment": environment}
        )
    except ValidationError as invalid:
        problems += [_problem(document, error) for error in invalid.errors(include_url=False)]
    else:
        if not problems:
            return deployment
    raise _refusal(file, sorted(problems))


def _given(document: Document) -> dict[str, object]:
    """Return the keys that say something: `local:` with all its lines commented out says nothing."""
    known = Deployment.model_fields
    return {key: value for key, value in document.values.items() if value is not None or key not in known}


def _refusal(file: Path, problems: list[Problem]) -> InputError:
    if len(problems) == 1:
        return InputError(f"{file}:{problems[0].line}: {problems[0].text}", hint=_hint())
    listed = "\n".join(f"  {file.name}:{problem.line}: {problem.text}" for problem in problems)
    return InputError(f"{file} has {len(problems)} errors:\n{listed}", hint=_hint())


def _hint() -> str:
    """Name every key, with those of its section."""
    names = []
    for key in _keys_at(()):
        try:
            by_name = "by name: " if get_origin(_annotation_at((key,))) is dict else ""
            names.append(f"{key} ({by_name}{', '.join(_keys_at((key,)))})")
        except StopIteration:  # no section
            names.append(key)
    return f"The keys of orrery.yaml are {', '.join(names)}."


def _problem(document: Document, error: ErrorDetails) -> Problem:
    path: KeyPath = error["loc"]
    if error["type"] == "invalid_key":  # a number where a name should be
        path = (*path[:-1], str(path[-1]))
    if path[-1] == "[key]":  # the same, where names are the user's
        path = (*path[:-2], str(path[-2]))
    return Problem(line=document.line(path), text=f"`{dotted(path)}` {_complaint(path, error)}")


def _complaint(path: KeyPath, error: ErrorDetails) -> str:  # noqa: C901, PLR0912 - a table of errors
    context: dict[str, Any] = error.get("ctx") or {}
    # Near the database's URL nothing is repeated: it may hold a password.
    found = "something else" if path[0] == "database" else kind(error["input"])
    match error["type"]:
        case _ if error["type"] == COMPLAINT:
            return f"{error['msg'].rstrip('.')}."
        case "extra_forbidden" | "invalid_key":
            return _unknown_key(path)
        case "missing":
            return "is missing."
        case "string_pattern_mismatch" if context.get("pattern") == NAME_PATTERN:
            expected = "lower-case letters, digits and hyphens, at most 63, no hyphen at either end"
        case "string_type":
            expected = "text; put it in quotes"
        case "literal_error":
            expected = str(context["expected"]).replace("'", "`")
        case "int_type":
            expected = "a whole number, without quotes"
        case "greater_than_equal":
            expected = f"{context['ge']:g} or more"
        case "less_than_equal":
            expected = f"{context['le']:g} or less"
        case "float_type":
            expected = "a number"
        case "bool_type":
            expected = "`true` or `false`"
        case "tuple_type":
            expected = "a list"
        case "string_pattern_mismatch" if context.get("pattern") == MODULE_PATTERN:
            expected = "the name of a module, such as `torch`"
        case "dict_type":
            expected = "names, each with " + ", ".join(f"`{key}`" for key in _keys_at(path))
        case "model_type":
            expected = "a section: " + ", ".join(f"`{key}`" for key in _keys_at(path))
        case _:
            return f"is wrong: {error['msg']}."
    return f"is {found}; expected {expected}."


def _unknown_key(path: KeyPath) -> str:
    known = list(_keys_at(path[:-1]))
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"is no key here. Did you mean `{near[0]}`?"
    return "is no key here; there are " + ", ".join(f"`{key}`" for key in known) + "."


def _keys_at(path: KeyPath) -> tuple[str, ...]:
    """Return the keys that the section at `path` may have; below names, those of each."""
    return tuple(_section_in(_annotation_at(path)).model_fields)


def _annotation_at(path: KeyPath) -> Any:
    annotation: Any = Deployment
    for step in path:
        if get_origin(annotation) is dict:  # the step is a name of the user's
            annotation = get_args(annotation)[1]
        elif get_origin(annotation) is tuple:  # the step is a place in a list
            annotation = get_args(annotation)[0]
        else:
            annotation = _section_in(annotation).model_fields[str(step)].annotation
    return annotation


def _section_in(annotation: Any) -> type[BaseModel]:
    choices = get_args(annotation) or (annotation,)
    return next(choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel))
