"""Airflow's client of the execution API, with a shorter way for the calls that every task makes.

What Airflow's client does with a call (headers, token, hooks, errors, retries) is kept; what httpx does
around it, to be ready for everything, is left out: in the agent all threads share an interpreter. Only the
first try goes the short way, and only a call whose answer is a plain yes ends there.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
from airflow.sdk.api.client import Client

from orrery.executor.batch_protocol import HEADERS, Call, is_batchable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.worker.batch import BatchTransport

#: What httpx leaves in a path as it is.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~:+@!$&'()*,;=-]+", re.ASCII)
#: What a query may hold for urllib and httpx to write it alike.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.-]*", re.ASCII)
_ERROR = 400
_REFRESHED = "refreshed-api-token"


class TaskClient(Client):  # type: ignore[misc]
    """The client of one task."""

    def __init__(self, *, base_url: str, token: str, transport: BatchTransport) -> None:
        super().__init__(base_url=base_url, token=token, transport=transport)
        self._batches = transport
        self._timeouts = self.timeout.as_dict()
        self._constant = {name: value for name, value in self.headers.items() if name in HEADERS}

    def request(self, method: str, url: Any, **options: Any) -> httpx.Response:
        """Make a call, as Airflow's does."""
        call = self._call(method, url, options)
        if call is None:
            return self._as_ever(method, url, options)
        try:
            response = self._batches.ask(call, self._timeouts)
        except httpx.TransportError:
            return self._as_ever(method, url, options)
        if response is None:
            with self._batches.alone():
                return self._as_ever(method, url, options)
        if response.status_code >= _ERROR or _REFRESHED in response.headers:
            response.request = self.build_request(method, url, **_given(options))
            try:
                for hook in self.event_hooks["response"]:
                    hook(response)
            except httpx.HTTPStatusError:
                if not response.is_server_error:
                    raise
                return self._as_ever(method, url, options)
        return response

    def _as_ever(self, method: str, url: Any, options: dict[str, Any]) -> httpx.Response:
        made: httpx.Response = super().request(method, url, **options)
        return made

    def _call(self, method: str, url: Any, options: Mapping[str, Any]) -> Call | None:
        """Return a call as it travels in a batch; None for one that is out of the ordinary."""
        given = _given(options)
        params, content = given.pop("params", {}), given.pop("content", None)
        body = _body(content, given)
        if (
            given
            or body is None
            or not isinstance(url, str)
            or not is_batchable(method, url)
            or not _PLAIN_PATH.fullmatch(url)
            or not all(_PLAIN_VALUE.fullmatch(str(value)) for value in params.values())
        ):
            return None
        asked = SimpleNamespace(headers={})
        for hook in self.event_hooks["request"]:
            hook(asked)
        # Its flow only adds the header.
        next(self.auth.auth_flow(asked))
        headers = {name.lower(): value for name, value in asked.headers.items()}
        path = f"{url}?{urlencode(params)}" if params else url
        return Call(method, path, {**self._constant, "content-type": "application/json", **headers}, body)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that say something: httpx passes all of them on."""
    return {
        name: value
        for name, value in options.items()
        if value is not None and value is not httpx.USE_CLIENT_DEFAULT
    }


def _body(content: Any, given: dict[str, Any]) -> bytes | None:
    """Return a call's body as httpx writes it, and take it out of the options."""
    if isinstance(content, str):
        return content.encode()
    if "json" not in given:
        return content if isinstance(content, bytes) else None
    value = given.pop("json")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
