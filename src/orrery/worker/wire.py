"""A kept-alive HTTP connection on which one thread sends batches.

The standard library's: in the agent all threads share an interpreter, and a request by httpx costs five
times as much of it. Failures are httpx's, as its callers expect.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


class Wire:
    """A connection to one server, made when it is needed and again when it is gone. For one thread."""

    def __init__(self, url: httpx.URL, *, context: ssl.SSLContext | None = None) -> None:
        self._host, self._port = url.host, url.port
        self._path = url.raw_path.decode("ascii")
        self._context = context
        self._connection: http.client.HTTPConnection | None = None

    def post(
        self, body: bytes, *, headers: Mapping[str, str], timeouts: Mapping[str, float]
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers and body of the answer.

        Raises:
            httpx.TransportError: it did not arrive, or no answer did.
        """
        try:
            return self._post(body, headers, timeouts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a later request makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _post(
        self, body: bytes, headers: Mapping[str, str], timeouts: Mapping[str, float]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self._connected(timeouts["connect"])
        try:
            connection.sock.settimeout(timeouts["write"])
            connection.request("POST", self._path, body, dict(headers))
        except TimeoutError as error:
            raise httpx.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpx.WriteError(str(error)) from error
        try:
            connection.sock.settimeout(timeouts["read"])
            response = connection.getresponse()
            found = response.read()
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        except http.client.HTTPException as error:
            raise httpx.RemoteProtocolError(str(error) or type(error).__name__) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        if response.will_close:
            self.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, found

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        if self._connection is not None and _is_over(self._connection.sock):
            self.close()
        if self._connection is None:
            made = (
                http.client.HTTPConnection(self._host, self._port, timeout=timeout)
                if self._context is None
                else http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout, context=self._context
                )
            )
            try:
                made.connect()
            except TimeoutError as error:
                raise httpx.ConnectTimeout(str(error)) from error
            except OSError as error:
                raise httpx.ConnectError(str(error)) from error
            # Head and body are two writes.
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = made
        return self._connection


def _is_over(end: socket.socket | None) -> bool:
    """Tell whether the server has closed an idle connection: then there is something to read."""
    if end is None:
        return True
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(0))
