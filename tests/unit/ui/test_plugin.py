"""What Airflow reads from the plug-in, and what loading it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from orrery.ui import bundle
from orrery.ui.plugin import OrreryPlugin

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_the_footer_is_offered_under_an_address_that_changes_with_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "footer.js"
    monkeypatch.setattr(bundle, "PATH", built)
    urls = []
    for content in ("first", "second", "first"):
        built.write_text(content)
        [app] = OrreryPlugin().react_apps
        assert (app["name"], app["destination"]) == ("OrreryFooter", "base")
        urls.append(app["bundle_url"])

    assert urls[0] == urls[2] != urls[1]
    assert urls[0].startswith("orrery/static/footer.js?v=")


def test_without_the_built_footer_there_is_one_log_line_and_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bundle, "PATH", tmp_path / "footer.js")
    plugin = OrreryPlugin()

    assert (plugin.react_apps, plugin.react_apps) == ([], [])
    assert len(plugin.external_views) == 3
    assert len(plugin.fastapi_apps) == 1
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Orrery's footer is not shown"
    ]
