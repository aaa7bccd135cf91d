"""Plain files: those whose execution gives the same result whenever and however often it is done.

Such a DAG file may be executed once and forked from, as long as it has not changed: no task can tell
that the file was not executed for it alone. Judged by its syntax, and carefully: what is not known to be
plain is not.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What may be called, by the start of its full name.
_KNOWN = (
    "airflow.",
    "collections.",
    "dataclasses.",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "enum.",
    "functools.",
    "itertools.",
    "json.dumps",
    "json.loads",
    "logging.getLogger",
    "operator.",
    "os.environ",
    "os.getenv",
    "os.path.basename",
    "os.path.dirname",
    "os.path.join",
    "pathlib.Path",
    "pathlib.PurePath",
    "pendulum.datetime",
    "pendulum.duration",
    "pendulum.local",
    "pendulum.parse",
    "pendulum.timezone",
    "re.",
    "string.",
    "textwrap.",
    "typing.",
    "zoneinfo.",
)
_KNOWN_BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "bool",
        "bytes",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "int",
        "isinstance",
        "issubclass",
        "len",
        "list",
        "map",
        "max",
        "min",
        "object",
        "ord",
        "pow",
        "print",
        "property",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "staticmethod",
        "classmethod",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "zip",
        "chr",
        "bin",
        "hex",
    ]
)
#: Whatever they are called on: clocks, chance, and what lies outside of the file.
_NEVER = frozenset(
    [
        "now",
        "utcnow",
        "today",
        "yesterday",
        "tomorrow",
        "time",
        "time_ns",
        "monotonic",
        "perf_counter",
        "days_ago",
        "fromtimestamp",
        "get_connection",
        "get_variable",
        "get_uri",
        "get_hook",
        "get_conn",
        "read",
        "read_text",
        "read_bytes",
        "open",
        "write",
        "write_text",
        "write_bytes",
        "mkdir",
        "touch",
        "unlink",
        "exists",
        "is_file",
        "is_dir",
        "iterdir",
        "glob",
        "rglob",
        "stat",
        "resolve",
        "cwd",
        "home",
        "expanduser",
        "walk",
        "listdir",
        "start",
        "run",
        "execute",
        "submit",
        "connect",
        "request",
        "urlopen",
    ]
)
#: Airflow's, but they ask the platform.
_ASKING = frozenset({"Variable", "Connection", "BaseHook", "XCom", "ObjectStoragePath"})


@dataclass(frozen=True, kw_only=True, slots=True)
class NotPlain:
    """Why a file is not plain."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def judge(source: bytes | str) -> NotPlain | None:
    """Return why a file is not plain, None if it is; a file with a syntax error is not."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        return NotPlain(line=getattr(error, "lineno", None) or 1, reason=f"it cannot be read: {error}")
    file = _File(tree)
    try:
        return next(file.problems(), None)
    except RecursionError:
        return NotPlain(line=1, reason="it is nested too deeply")


class _File:
    """One file: what its names stand for, and what is executed when it is imported."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        #: Imported names, by what they stand for.
        self._names = dict(_imported(tree))
        #: Functions and classes of the file.
        self._own = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        #: What statements assign items of, by identity.
        self._assigned_to = {
            id(target.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Subscript)
        }

    def problems(self) -> Iterator[NotPlain]:
        for node in self._executed(self._tree.body):
            if isinstance(node, ast.Call):
                yield from self._of_call(node)
            elif isinstance(node, ast.Name | ast.Attribute):
                yield from self._of_name(node)
            elif isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
                yield NotPlain(line=node.lineno, reason="it imports all names of a module")
            elif isinstance(node, ast.Global | ast.While | ast.Await):
                yield NotPlain(line=node.lineno, reason=f"it uses `{type(node).__name__.lower()}`")

    def _of_call(self, node: ast.Call) -> Iterator[NotPlain]:
        function = node.func
        if isinstance(function, ast.Call | ast.Subscript | ast.Lambda | ast.IfExp):
            return  # the result of a call that is judged itself, as in `task.override(...)(x)`
        name = self._full_name(function)
        if name is None:  # a method of something: judged by its last word, see _of_name
            return
        root = name.partition(".")[0]
        if root in self._own or root in self._locals or root == "__doc__" or _is_exception(name):
            return
        if name == "globals" and id(node) in self._assigned_to:
            return  # `globals()[name] = dag`: like any other variable, it holds what was judged
        if name.startswith(_KNOWN) or name in _KNOWN_BUILTINS:
            return
        yield NotPlain(line=node.lineno, reason=f"it calls {name}()")

    def _of_name(self, node: ast.Name | ast.Attribute) -> Iterator[NotPlain]:
        word = node.id if isinstance(node, ast.Name) else node.attr
        full = self._full_name(node) or word
        is_asking = full.startswith("airflow.") and any(part in _ASKING for part in full.split("."))
        if (
            is_asking
            or (word in _NEVER and isinstance(node, ast.Attribute))
            or (isinstance(node, ast.Name) and full != word and full.rpartition(".")[2] in _NEVER)
        ):
            yield NotPlain(line=node.lineno, reason=f"it uses {full}")

    @property
    def _locals(self) -> frozenset[str]:
        # Variables and parameters: what they hold came from a call that was judged.
        found = getattr(self, "_found_locals", None)
        if found is None:
            stored = {
                node.id
                for node in ast.walk(self._tree)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            arguments = {node.arg for node in ast.walk(self._tree) if isinstance(node, ast.arg)}
            found = self._found_locals = frozenset((stored | arguments) - set(self._names))
        return found

    def _full_name(self, node: ast.expr) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self._names.get(node.id, node.id), *reversed(parts)])

    def _executed(self, body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
        """Yield all nodes that are executed when the file is, or may be: only tasks' bodies are not."""
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                for part in (*statement.decorator_list, statement.args):
                    yield from ast.walk(part)
                if not self._is_task(statement):
                    yield from self._executed(statement.body)
            elif isinstance(statement, ast.ClassDef):
                for part in (*statement.decorator_list, *statement.bases, *statement.keywords):
                    yield from ast.walk(part)
                yield from self._executed(statement.body)
            else:
                yield from self._parts(statement)

    def _parts(self, statement: ast.stmt) -> Iterator[ast.AST]:
        yield statement
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.stmt):
                yield from self._executed([child])
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                yield from self._executed(child.body)
            else:
                yield from ast.walk(child)

    def _is_task(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Tell whether a function is made a task by its decorator: its body runs in the task only."""
        for decorator in function.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = self._full_name(target) or ""
            words = name.split(".")
            if words[0] == "airflow" and ("task" in words or "sensor" in words or words[-1] == "setup"):
                return True
        return False


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                name = each.asname or each.name.partition(".")[0]
                yield name, each.name if each.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"
