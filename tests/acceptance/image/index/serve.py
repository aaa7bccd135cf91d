"""A package index that wants a login: what a company has. Run in a container: serve.py USER PASSWORD."""

from __future__ import annotations

import base64
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

LOGIN = base64.b64encode(":".join(sys.argv[1:3]).encode()).decode()


class Index(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {LOGIN}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Length", "0")
        self.end_headers()


# All addresses: those of a container of its own.
ThreadingHTTPServer(("0.0.0.0", 8000), Index).serve_forever()
