"""Make a project folder from the template: plan first, then write; what exists is kept."""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from orrery.errors import InputError, MachineError
from orrery.project.layout import check_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from orrery.project.choices import Choices

Action = Literal["create", "keep", "overwrite"]

#: The folders of a project; what the template has in them are examples.
FOLDERS = ("dags", "include", "plugins", "tests")

#: Names that packaging tools, or this repository's own git, would treat specially in the template.
_DOT = "dot_"
#: Ends the name of a file while it is being written. Fixed, so that a second run clears up after a kill.
_UNFINISHED = ".orrery-new"
_SECRET_FILES = frozenset({".env"})
_LITTER = frozenset({"__pycache__", ".DS_Store"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One file or folder of the project and what happens to it. `content` None makes a folder."""

    path: PurePosixPath
    content: bytes | None
    action: Action

    @property
    def label(self) -> str:
        """The path as people read it: folders end in a slash."""
        return f"{self.path}/" if self.content is None else str(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that making the project will do, in order."""

    root: Path
    steps: tuple[Step, ...]
    #: Whether example DAGs are left out because the folder holds a user's own work.
    has_own_work: bool

    def labels(self, action: Action) -> list[str]:
        """Return what one kind of step touches."""
        return [step.label for step in self.steps if step.action == action]


def plan_project(root: Path, choices: Choices, *, force: bool = False) -> Plan:
    """Return what making a project in `root` would do; nothing is written.

    Existing files are kept, or overwritten with `force` where they differ. Where a user's own files stand in
    one of the project's folders no examples are added. Raises InputError where a file stands in a folder's
    place, or the other way round, or where the path has a colon.
    """
    root = root.resolve()
    template = _template(choices)
    check_path(root)
    with _writing(root):
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file; a project is a folder.", hint="Name another folder.")
        has_own_work = any(_has_own_work(root, folder, template) for folder in FOLDERS)
        steps = [
            Step(path=path, content=content, action=_action(root / path, content, force))
            for path, content in {**dict.fromkeys(map(PurePosixPath, FOLDERS)), **template}.items()
            if content is None or path.parts[0] not in FOLDERS or not has_own_work
        ]
    return Plan(root=root, steps=tuple(steps), has_own_work=has_own_work)


def make_project(plan: Plan) -> None:
    """Carry out a plan. Each file appears whole or not at all; run again after a kill it completes.

    Raises MachineError when the folder cannot be written.
    """
    with _writing(plan.root):
        plan.root.mkdir(parents=True, exist_ok=True)
        for step in plan.steps:
            target = plan.root / step.path
            if step.action == "keep":
                continue
            if step.content is None:
                target.mkdir(exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(target, step.content, 0o600 if target.name in _SECRET_FILES else 0o644)


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Name the folder and the user where the machine refuses."""
    try:
        yield
    except NotADirectoryError as error:
        raise InputError(f"{root} lies below a file, so it cannot be a folder.") from error
    except OSError as error:
        user = _user()
        raise MachineError(
            f"The user {user} cannot write the folder {root}: {error.strerror}.",
            hint=f"Choose a folder that {user} may write, or change its owner or mode.",
        ) from error


def _template(choices: Choices) -> dict[PurePosixPath, bytes]:
    """Return the template's files under the names they get in a project."""
    found: dict[PurePosixPath, bytes] = {}

    def gather(folder: Traversable, path: PurePosixPath) -> None:
        for item in folder.iterdir():
            if item.name in _LITTER:  # installers byte-compile the example DAGs
                continue
            name = f".{item.name.removeprefix(_DOT)}" if item.name.startswith(_DOT) else item.name
            if item.is_dir():
                gather(item, path / name)
            else:
                found[path / name] = choices.fill(item.read_text(encoding="utf-8")).encode()

    gather(files("orrery.project").joinpath("template"), PurePosixPath())
    return dict(sorted(found.items()))


def _has_own_work(root: Path, folder: str, template: dict[PurePosixPath, bytes]) -> bool:
    """Say whether a folder holds a file that the template would not have put there."""
    for path in (root / folder).rglob("*"):
        relative = path.relative_to(root)
        if path.is_dir() or _LITTER.intersection(relative.parts):
            continue
        if PurePosixPath(str(relative).removesuffix(_UNFINISHED)) not in template:
            return True
    return False


def _action(target: Path, content: bytes | None, force: bool) -> Action:
    if not os.path.lexists(target):  # a dangling link is somebody's, too
        return "create"
    if content is None:
        if not target.is_dir():
            raise InputError(f"{target} is a file; a project has a folder there.", hint="Move it away.")
        return "keep"
    if target.is_dir():
        raise InputError(f"{target} is a folder; a project has a file there.", hint="Move it away.")
    return "overwrite" if force and not _holds(target, content) else "keep"


def _holds(target: Path, content: bytes) -> bool:
    try:
        return target.read_bytes() == content
    except OSError:
        return False


def _write(target: Path, content: bytes, mode: int) -> None:
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container that runs under a number
        return str(os.geteuid())
