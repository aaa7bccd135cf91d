from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.requirements import Requirements, check_requirements

if TYPE_CHECKING:
    from pathlib import Path


def check(tmp_path: Path, content: str | bytes) -> Requirements:
    file = tmp_path / "requirements.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return check_requirements(file, runtime="17.0.0", airflow="3.3.2")


def texts(requirements: Requirements) -> list[str]:
    return [line.text for line in requirements.lines]


def test_every_form_of_a_requirement_is_understood(tmp_path: Path) -> None:
    found = check(
        tmp_path,
        b"\xef\xbb\xbf# comment\r\npandas>=2.2 # why\r\n\r\n"
        b"requests[socks] ; python_version < '3.13'\r\n"
        b"numpy==2.0 --hash=sha256:aa \\\r\n    --hash=sha256:bb\r\n"
        b"--extra-index-url https://index.example.org/simple\r\n"
        b"-e ./local\r\n./wheels/a-1.0-py3-none-any.whl\r\n"
        b"git+https://example.org/a.git@main#egg=a\r\n"
        b"b @ https://example.org/b.zip#sha256=cc\r\nc==${VERSION}\r\n"
        b"apache-airflow-providers-postgres==6.0.0\r\napache-airflow\r\napache-airflow[amazon]\r\n",
    )
    assert texts(found)[:4] == [
        "pandas>=2.2",
        "requests[socks] ; python_version < '3.13'",
        "numpy==2.0 --hash=sha256:aa --hash=sha256:bb",
        "--extra-index-url https://index.example.org/simple",
    ]
    assert len(found.lines) == 12
    assert found.lines[2].number == 5


@pytest.mark.parametrize(
    "line",
    [
        "apache-airflow==2.9",
        "apache_airflow>=3",
        "Apache.Airflow [celery] ~= 3.1",
        "apache-airflow==3.3.2",
        "apache-airflow<4 ; python_version > '3'",
        "apache-airflow==${AIRFLOW}",
        "apache-airflow @ https://example.org/apache_airflow-3.1.0.tar.gz",
        "apache-airflow@https://example.org/any.zip",
        "./apache-airflow-3.1.0.tar.gz",
        "apache-airflow-core==3.1.0",
        "apache-airflow-task-sdk==1.1",
        "orrery-runtime==16.0.0",
        "./apache_airflow-3.1.0-py3-none-any.whl",
        "git+https://example.org/airflow.git#egg=apache-airflow",
        "-e git+https://example.org/airflow.git#egg=apache_airflow",
        "apache-airflow==3.3.2 --hash=sha256:aa",
    ],
)
def test_a_version_of_airflow_is_refused_with_the_reason_and_the_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, f"pandas\n\n{line}\n")
    assert caught.value.message.startswith(
        f"requirements.txt line 3 asks for {line}; the runtime 17.0.0 brings Airflow 3.3.2"
    )
    assert "Delete line 3" in str(caught.value.hint)


@pytest.mark.parametrize("line", ["pandas=2", "pandas==", "two words", "--unheard-of", "pandas; nonsense"])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"requirements\.txt:2: .* is no requirement"):
        check(tmp_path, f"numpy\n{line}\n")


def test_included_files_count_and_their_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("numpy\n-r deep.txt\n")
    (tmp_path / "more" / "deep.txt").write_text("scipy\n")
    assert texts(check(tmp_path, "-r more/base.txt\npandas\n")) == ["numpy", "scipy", "pandas"]
    (tmp_path / "more" / "deep.txt").write_text("\napache-airflow==3.0\n")
    with pytest.raises(InputError, match=r"deep\.txt line 2 asks for apache-airflow==3\.0"):
        check(tmp_path, "-r more/base.txt\n")


def test_an_absent_or_circular_include_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"requirements\.txt:1: there is no file .*absent\.txt"):
        check(tmp_path, "-r absent.txt\n")
    with pytest.raises(InputError, match="includes itself"):
        check(tmp_path, "--requirement=requirements.txt\n")


def test_the_digest_changes_with_what_is_asked_for_and_not_with_its_looks(tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    plain = check(tmp_path, "numpy>=1\npandas\n-c limits.txt\n").digest
    dressed = b"\xef\xbb\xbf# note\r\nnumpy>=1 # why\r\n\r\npandas\r\n-c limits.txt\r\n"
    assert check(tmp_path, dressed).digest == plain
    assert check(tmp_path, "numpy>=2\npandas\n-c limits.txt\n").digest != plain
    (tmp_path / "limits.txt").write_text("numpy<3\n")
    assert check(tmp_path, "numpy>=1\npandas\n-c limits.txt\n").digest != plain


def test_an_absent_file_and_one_of_comments_ask_for_nothing(tmp_path: Path) -> None:
    absent = check_requirements(tmp_path / "absent.txt", runtime="17.0.0", airflow="3.3.2")
    assert absent.is_empty
    assert check(tmp_path, "# nothing\n") == absent
