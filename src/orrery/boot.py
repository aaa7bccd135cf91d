"""Run before Airflow is imported: lay Orrery's defaults under the user's settings.

A `.pth` file calls `install()` at the start of every Python of the environment, Airflow or not. It must
therefore cost next to nothing: the module's top imports only `sys`, and the work waits until a process
really loads `airflow`. Then `apply()` completes the environment, because many of Airflow's modules read
their configuration while they are imported: a plug-in or a policy would come too late.
"""
# ruff: noqa: PLC0415 - nothing may be imported before it is needed

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from orrery.config.note import Note


def install() -> None:
    """Watch for the first import of Airflow; repeated calls change nothing."""
    if "airflow" not in sys.modules and not any(type(finder) is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Configures the process just before the code of the `airflow` package runs.

    Looking for Airflow (`importlib.util.find_spec`) is not using it: that has no effect. The finder stays
    until the configuration succeeded, so that a second `import airflow` after a failure fails again.
    """

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if fullname != "airflow":
            return None
        spec = self._spec_of_the_others(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def configure_and_execute(module: "ModuleType") -> None:
            if self in sys.meta_path:
                import os

                if apply(os.environ):
                    _collect_garbage_seldom()
                _watch_for_early_fixes(os.environ)
                sys.meta_path.remove(self)
            execute(module)

        spec.loader.exec_module = configure_and_execute  # type: ignore[method-assign]
        return spec

    def _spec_of_the_others(
        self, fullname: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)):
                return spec
        return None


def apply(environ: "MutableMapping[str, str]") -> bool:
    """Set what Orrery gives Airflow in `environ`; a value of the user's always wins.

    Returns whether it did: not with ORRERY_DEFAULTS=off, nor beside an airflow.cfg that cannot be read.

    Creates a minimal airflow.cfg and the shared secrets where there are none. The environment is changed
    in one step at the end: an error on the way leaves it as it was.

    Raises:
        OrreryError: a setting of ours is wrong, or a secret is not safe to use.
    """
    from orrery.config import airflow_file, applied, capacity, defaults, notices, plan, secrets, settings
    from orrery.config.user import UserSettings
    from orrery.errors import OrreryError

    environment = applied.users_environment(environ)
    try:
        ours = settings.load_settings(environment)
        if not ours.defaults_on:
            _replace(environ, environment, {})
            return False
        given_file = airflow_file.ensure(environment)
        file = airflow_file.read(given_file.path)
        if file.problem:
            # Nobody can tell what the user has set: leave it all to Airflow, which will say so too.
            _replace(environ, environment, {})
            _report(environ, [notices.unreadable(file)])
            return False
        known = defaults.load()
        user = UserSettings(environment=environment, file=file, old_names=known.old_names)
        situation = plan.Situation(user=user, machine=capacity.machine(), worker_slots=ours.worker_slots)
        planned = plan.make(known.of_profile(ours.profile), situation)
        folder = ours.secrets_dir or airflow_file.home(environment) / "secrets"
        # A worker's tasks are the users' code: it holds no secret of the platform.
        wanted = () if ours.component == "worker" else secrets.missing(user)
        kept = secrets.ensure(folder, wanted, inherited=applied.inherited(environ))
    except OrreryError as error:
        hint = f" {error.hint}" if error.hint else ""
        sys.stderr.write(f"orrery: {error.message}{hint}\n")
        raise
    values = planned.values | kept.values
    if given_file.replaces_airflow_config:
        values["AIRFLOW_CONFIG"] = str(given_file.path)
    _replace(environ, environment, values)
    _report(environ, [*given_file.notes, *planned.notes, *kept.notes])
    return True


def _watch_for_early_fixes(environ: "MutableMapping[str, str]") -> None:
    """Let Airflow be mended while it loads, whoever configures it: ORRERY_DEFAULTS=off is about settings."""
    from orrery.backports import hook, registry

    fixes, notes = registry.chosen(environ.get("ORRERY_EARLY_FIXES", ""))
    hook.watch(fixes)
    _report(environ, notes)


def _collect_garbage_seldom() -> None:
    """Let a starting component import Airflow without searching its modules for garbage a hundred times.

    A forked child, and so every task, gets Python's own threshold back: how often user code is collected
    is not ours to change. What the child inherits is frozen: it cannot be freed anyway, and a collector
    that walks over it would copy all of its memory.
    """
    import gc
    import os

    from orrery import garbage

    usual = gc.get_threshold()

    def as_usual() -> None:
        gc.freeze()
        gc.set_threshold(*usual)

    garbage.collect_seldom()
    os.register_at_fork(after_in_child=as_usual)


def _replace(
    environ: "MutableMapping[str, str]", environment: dict[str, str], values: dict[str, str]
) -> None:
    """Make `environ` the user's environment plus our values, and record which are ours."""
    from orrery.config import applied

    wanted = environment | values | applied.record(environment, values)
    for name in [name for name in environ if name not in wanted]:
        del environ[name]
    for name, value in wanted.items():
        if environ.get(name) != value:
            environ[name] = value


def _report(environ: "MutableMapping[str, str]", notes: "Sequence[Note]") -> None:
    """Write each note on stderr once per process tree: what was said is marked in the environment."""
    from orrery.config.applied import REPORTED

    said = environ.get(REPORTED, "").split()
    for note in notes:
        key = note.key.replace(" ", "_")
        if key not in said:
            said.append(key)
            sys.stderr.write(f"orrery: {note.text}\n")
    if said:
        environ[REPORTED] = " ".join(said)
