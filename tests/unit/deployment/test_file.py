from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orrery.deployment.file import load_deployment
from orrery.deployment.model import DEFAULT_EXECUTOR
from orrery.errors import InputError, MachineError

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.deployment.model import Deployment


@dataclass(frozen=True)
class Files:
    deployment_file: Path
    name: str = "weather"


def load(tmp_path: Path, content: str | bytes, environment: dict[str, str] | None = None) -> Deployment:
    file = tmp_path / "orrery.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_deployment(Files(file), environment or {})


def complaint(tmp_path: Path, content: str | bytes, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load(tmp_path, content, environment)
    return caught.value.message.replace(str(tmp_path / "orrery.yaml"), "orrery.yaml")


def test_an_absent_file_gives_every_promised_default(tmp_path: Path) -> None:
    found = load_deployment(Files(tmp_path / "orrery.yaml"), {})
    assert found.model_dump() == {
        "runtime": "17.0.0",
        "name": "weather",
        "python": None,
        "providers": "slim",
        "database": None,
        "local": {"port": 8080},
        "auth": {"manager": "orrery", "organization": "default", "workspace": "default", "providers": ()},
        "executor": DEFAULT_EXECUTOR,
        "worker": {
            "capacity": None,
            "reserve": None,
            "default": None,
            "memory_limit_factor": 1.0,
            "cpu_cap": False,
            "preload_deny": (),
        },
        "queues": {},
    }


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "local:\n  # port: 1\nruntime:\n", "{}"])
def test_a_file_that_says_nothing_gives_the_defaults(tmp_path: Path, content: str) -> None:
    assert load(tmp_path, content) == load_deployment(Files(tmp_path / "absent"), {})


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        b"\xef\xbb\xbfruntime: 17.0.0\r\nname: prod-1\r\npython: 3.13\r\nproviders: full\r\n"
        b"database: {url: 'postgresql://u:p@h:5432/airflow'}\r\nlocal:\r\n  port: 8090\r\n",
    )
    assert (found.runtime, found.name, found.python, found.providers) == ("17.0.0", "prod-1", "3.13", "full")
    assert found.database is not None
    assert found.database.url.get_secret_value() == "postgresql://u:p@h:5432/airflow"
    assert found.local.port == 8090


def test_a_line_of_releases_means_its_newest(tmp_path: Path) -> None:
    assert load(tmp_path, "runtime: 17.0").runtime == "17.0.0"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("runtme: 17.0.0", "orrery.yaml:1: `runtme` is no key here. Did you mean `runtime`?"),
        (
            "\n\nqqq: 1",
            (
                "orrery.yaml:3: `qqq` is no key here; there are `runtime`, `name`, `python`, `providers`, "
                "`database`, `local`, `auth`, `executor`, `worker`, `queues`."
            ),
        ),
        ("local:\n  prt: 1", "orrery.yaml:2: `local.prt` is no key here. Did you mean `port`?"),
        ("5: x", "orrery.yaml:1: `5` is no key here; "),
        (
            "local:\n  port: '80'",
            "orrery.yaml:2: `local.port` is the text '80'; expected a whole number, without quotes.",
        ),
        ("local:\n  port: 0", "orrery.yaml:2: `local.port` is the number 0; expected 1 or more."),
        ("local: {port: 70000}", "`local.port` is the number 70000; expected 65535 or less."),
        ("local: {port: true}", "`local.port` is the boolean true; expected a whole number"),
        ("local: 8080", "orrery.yaml:1: `local` is the number 8080; expected a section: `port`."),
        ("name: 5", "`name` is the number 5; expected text; put it in quotes."),
        ("name: [a]", "`name` is a list; expected text"),
        ("name: No_Good", "`name` is the text 'No_Good'; expected lower-case letters, digits and hyphens"),
        ("name: -a", "expected lower-case letters"),
        ("python: 3.10", "`python` is the text '3.10'; expected `3.11`, `3.12` or `3.13`."),
        ("providers: all", "`providers` is the text 'all'; expected `slim` or `full`."),
        ("runtime: 17.0.99", "`runtime` names no release: '17.0.99' is not a release in the catalogue."),
        ("runtime: 17.0.99", "Did you mean 17.0.0?"),
        ("runtime: '{x}'", "`runtime` names no release: '{x}'"),
        ("database: {}", "orrery.yaml:1: `database.url` is missing."),
        ("database: {url: 5}", "`database.url` is something else; expected text; put it in quotes."),
        (
            "name: a\nlocal:\n  port: 1\nname: b",
            "orrery.yaml:4: `name` stands twice (first on line 1); keep one.",
        ),
        ("executor: celery", "`executor` is the text 'celery'; expected `packing` or `local`."),
        ("local:\n  port: 1\n  port: 1", "orrery.yaml:3: `local.port` stands twice (first on line 2)"),
    ],
)
def test_an_error_names_line_key_found_and_expected(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in complaint(tmp_path, content)


def test_a_release_that_is_history_cannot_be_run(tmp_path: Path) -> None:
    from orrery.release import catalogue

    old = next(release for release in catalogue.load().releases if release.version.major < 14)
    found = complaint(tmp_path, f"runtime: {old.version}")
    assert "cannot be run" in found
    assert "17.0.0" in found


@pytest.mark.parametrize("content", ["database: 'postgresql://u:hunter2@h/db'", "database: {url: [hunter2]}"])
def test_a_url_in_the_wrong_place_is_not_repeated(tmp_path: Path, content: str) -> None:
    assert "hunter2" not in complaint(tmp_path, content)


def test_several_errors_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = complaint(tmp_path, "providers: all\nnam: x\nlocal: {port: x}\nproviders: slim\n")
    assert found.startswith("orrery.yaml has 3 errors:")
    assert [int(line.split(":")[1]) for line in found.splitlines()[1:]] == [2, 3, 4]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name: a\n\tlocal: 1\n", "orrery.yaml:2:1: this is not YAML"),
        ("name: [a\nlocal: 1\n", "orrery.yaml:2:"),
        ("name: 'a\n", "orrery.yaml:"),
        ("- a\n", "orrery.yaml:1: found a list; expected keys such as `runtime: ...`."),
        ("just words", "found the text 'just words'"),
        ("a: 1\n---\nb: 2\n", "orrery.yaml:2:1: this is not YAML: but found another document."),
        ("name: !!python/object:os.system x", "orrery.yaml:1:7: this is not YAML"),
        ("name: \x01", "orrery.yaml is not YAML"),
        (b"name: caf\xe9", "orrery.yaml is not UTF-8 text"),
        ("[" * 20000, "nested too deeply"),
        ("local: {port: " + "9" * 5000 + "}", "orrery.yaml"),
        ("a: &a\n  b: *a\n", "`a` is no key here"),
        ("? [a]\n: b\n", "orrery.yaml:1:3: this is not YAML"),
    ],
)
def test_what_is_no_proper_yaml_is_refused_with_its_place(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    assert expected in complaint(tmp_path, content)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load_deployment(Files(tmp_path), {})


def test_a_file_that_cannot_be_read_is_the_machines_fault(tmp_path: Path) -> None:
    # A link to itself cannot be opened by anybody, root included.
    loop = tmp_path / "orrery.yaml"
    loop.symlink_to(loop)
    with pytest.raises(MachineError, match=r"orrery\.yaml cannot be read"):
        load_deployment(Files(loop), {})


def test_references_in_the_database_url_come_from_the_environment(tmp_path: Path) -> None:
    found = load(tmp_path, "database:\n  url: postgresql://u:${PASSWORD}@h/db\n", {"PASSWORD": "hunter2"})
    assert found.database is not None
    assert found.database.url.get_secret_value() == "postgresql://u:hunter2@h/db"
    assert "hunter2" not in repr(found)
    whole = load(tmp_path, "database:\n  url: ${URL}\n", {"URL": "postgresql://u@h/db"})
    assert whole.database is not None
    assert whole.database.url.get_secret_value() == "postgresql://u@h/db"


def test_a_reference_to_nothing_is_named(tmp_path: Path) -> None:
    found = complaint(tmp_path, "database:\n  url: postgresql://${USER_}:${PASS_}@h/db\n", {"PASS_": ""})
    assert "`database.url` refers to ${USER_} and ${PASS_}, which is not set" in found


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:hunter2@h/db", "names a mysql database: MySQL lacks LISTEN/NOTIFY"),
        ("sqlite:////tmp/hunter2.db", "names a sqlite database: SQLite has one writer"),
        ("mssql+pyodbc://u:hunter2@h/db", "names a mssql database"),
        ("postgresql+psycopg2://u:hunter2@h/db", "names the driver psycopg2"),
        ("postgres://u:hunter2@h/db", "begins with postgres://"),
        ("postgresql:hunter2", "is not the URL of a PostgreSQL database"),
        ("hunter2", "is not the URL of a PostgreSQL database"),
        ("postgresql://u:hunter2@h", "names no database"),
        ("postgresql://u:hunter2/x@h/db", "percent-encode"),
        ("postgresql://u:hun[ter2@h/db", "percent-encode"),
    ],
)
def test_another_database_is_refused_with_the_reason_and_without_the_password(
    tmp_path: Path, url: str, reason: str
) -> None:
    found = complaint(tmp_path, f"database:\n  url: '{url}'\n")
    assert reason in found
    assert "hunter2" not in found


def test_a_mistake_is_told_with_every_key_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, "nonsense: 1\n")
    assert caught.value.hint == (
        "The keys of orrery.yaml are runtime, name, python, providers, database (url), local (port), "
        "auth (manager, organization, workspace, providers), "
        "executor, worker (capacity, reserve, default, memory_limit_factor, cpu_cap, preload_deny), "
        "queues (by name: cpu, memory, gpu, disk, isolation)."
    )


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("{id: a b, issuer: 'https://x.org', client_id: x}", "auth.providers"),
        ("{id: a, issuer: 'http://x.org', client_id: x}", "must begin with https://"),
        ("{id: a, issuer: 'https://x.org'}", "client_id"),
        ("{id: a, issuer: 'https://x.org', client_id: x, client_secret: hunter2}", "client_secret"),
        ("{id: a, issuer: 'https://x.org', client_id: x, scopes: [email]}", "lacks `openid`"),
        (
            "{id: a, issuer: 'https://x.org', client_id: x}, {id: a, issuer: 'https://y.org', client_id: x}",
            "names 'a' twice",
        ),
    ],
)
def test_an_identity_provider_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, provider: str, reason: str
) -> None:
    found = complaint(tmp_path, f"auth:\n  providers: [{provider}]\n")
    assert reason in found
    assert "hunter2" not in found
