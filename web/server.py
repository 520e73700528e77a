# SPDX-License-Identifier: Apache-2.0
"""Serves the page's folder to this computer only."""

from __future__ import annotations

import functools
import sys
import webbrowser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wakestate.errors import UserError

ADDRESS = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 (as the base class has it)
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: the page is all there is to see."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` at ADDRESS; port 0: any that is free. UserError."""
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return ThreadingHTTPServer((ADDRESS, port), handler)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; --port 0 takes a free one") from None


def serve(folder: Path, port: int, open_browser: bool) -> None:
    """Serve until interrupted."""
    with server(folder, port) as made:
        url = f"http://localhost:{made.server_port}/"
        print(f"{url}  Ctrl-C ends it.", flush=True)
        if open_browser and not webbrowser.open(url):
            print("no browser was found here; open that address in one", file=sys.stderr)
        made.serve_forever()
