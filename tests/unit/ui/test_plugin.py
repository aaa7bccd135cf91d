"""What Airflow reads from the plug-in, and what loading it costs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orrery.ui import bundle
from orrery.ui.plugin import OrreryPlugin

if TYPE_CHECKING:
    from pathlib import Path


def test_loading_the_plugin_brings_in_no_web_framework_and_no_catalogue() -> None:
    program = """
import sys
import airflow.sdk.plugins_manager
before = set(sys.modules)
import orrery.ui.plugin
print(sorted(set(sys.modules) - before))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.splitlines()[-1] == "['orrery.ui', 'orrery.ui.plugin']"


def test_airflow_accepts_the_plugin() -> None:
    from airflow.plugins_manager import is_valid_plugin

    assert is_valid_plugin(OrreryPlugin)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built files of our choice, in a deployment with another auth manager than ours."""
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "somebody.elses.Manager")
    for name in ("FOOTER", "WORKERS", "ACCESS", "MY_ACCESS"):
        path = tmp_path / getattr(bundle, name).path.name
        path.write_text("built")
        monkeypatch.setattr(bundle, name, replace(getattr(bundle, name), path=path))
    return tmp_path


def test_the_footer_stands_on_every_page_and_the_workers_in_the_menu(built: Path) -> None:
    footer, workers = OrreryPlugin().react_apps

    assert (footer["name"], footer["destination"]) == ("OrreryFooter", "base")
    # The name is what the menu says, and where Airflow looks for the component.
    assert (workers["name"], workers["destination"], workers["url_route"]) == ("Workers", "nav", "workers")


def test_the_pages_of_access_are_there_where_the_manager_is(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "orrery.auth.manager.OrreryAuthManager")

    *_, access, mine = OrreryPlugin().react_apps

    assert (access["name"], access["destination"], access["url_route"]) == ("Access", "nav", "access")
    # Airflow shows 'admin' only to whoever may use one of its own entries there.
    assert "category" not in access
    assert (mine["name"], mine["category"], mine["url_route"]) == ("My access", "user", "my-access")
    assert access["bundle_url"] == mine["bundle_url"]


def test_the_named_manager_is_the_one_that_there_is() -> None:
    from orrery.auth.manager import OrreryAuthManager
    from orrery.ui import plugin

    assert f"{OrreryAuthManager.__module__}.{OrreryAuthManager.__name__}" == plugin._AUTH_MANAGER


def test_each_file_is_offered_under_an_address_that_changes_with_its_content(built: Path) -> None:
    urls = []
    for content in ("first", "second", "first"):
        (built / "workers.js").write_text(content)
        urls.append([app["bundle_url"] for app in OrreryPlugin().react_apps])

    footers, workers = zip(*urls, strict=True)
    assert len(set(footers)) == 1
    assert workers[0] == workers[2] != workers[1]
    assert footers[0].startswith("orrery/static/footer.js?v=")
    assert workers[0].startswith("orrery/static/workers.js?v=")


def test_without_the_built_files_there_is_one_log_line_and_everything_else(
    built: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (built / "footer.js").unlink()
    (built / "workers.js").unlink()
    plugin = OrreryPlugin()

    assert (plugin.react_apps, plugin.react_apps) == ([], [])
    assert len(plugin.external_views) == 3
    assert plugin.fastapi_apps
    [record] = caplog.records
    assert "footer.js and workers.js missing" in record.getMessage()


def test_what_was_built_is_offered_beside_what_was_not(built: Path) -> None:
    (built / "footer.js").unlink()

    assert [app["name"] for app in OrreryPlugin().react_apps] == ["Workers"]
