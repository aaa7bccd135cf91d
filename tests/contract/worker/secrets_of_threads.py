"""A program: what each of two threads has masked, when secrets are kept apart, printed as JSON."""

from __future__ import annotations

import importlib
import io
import json
import sys
import threading
from typing import Any

from orrery.worker import compat


def main() -> None:
    import structlog
    from airflow.sdk._shared.secrets_masker import secrets_masker

    original = secrets_masker._secrets_masker
    importlib.import_module("airflow.sdk.execution_time.supervisor")
    compat.separate_secrets()
    from airflow.sdk.execution_time.comms import MaskSecret
    from airflow.sdk.execution_time.request_handlers import handle_mask_secret
    from airflow.sdk.log import logging_processors

    seen: dict[str, Any] = {}

    def task(name: str, secret: str, first: threading.Event, then: threading.Event) -> None:
        compat.forget_secrets()
        handle_mask_secret(MaskSecret(value=secret, name=None))
        first.set()
        then.wait()
        output = io.BytesIO()
        processors = logging_processors(json_output=True)
        logger = structlog.wrap_logger(structlog.BytesLogger(output), processors=processors).bind()
        logger.info("swordfish and hummingbird")
        seen[name] = json.loads(output.getvalue())["event"]
        compat.forget_secrets()
        logger.info("swordfish and hummingbird")
        seen[f"{name}, forgotten"] = json.loads(output.getvalue().splitlines()[1])["event"]

    one, two = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=task, args=("one", "swordfish", one, two)),
        threading.Thread(target=task, args=("two", "hummingbird", two, one)),
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    seen["settings are kept"] = bool(secrets_masker._secrets_masker().sensitive_variables_fields)
    said = {"Password": "a", "token": ["b"], "plain": "c", "deep": {"api_key": "d"}}
    seen["hidden by name"] = [secrets_masker.redact(said) for _ in range(2)]
    seen["names asked once"] = (
        secrets_masker._secrets_masker().should_hide_value_for_key.cache_info().hits > 0
    )
    seen["left with the original"] = sorted(
        name
        for name, module in list(sys.modules.items())
        if name.startswith("airflow") and getattr(module, "_secrets_masker", None) is original
    )
    print("ANSWER" + json.dumps(seen))


if __name__ == "__main__":
    main()
