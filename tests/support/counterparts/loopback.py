"""A listener for one loopback redirect, to check counterparts without any code of freshkey."""

from __future__ import annotations

import threading
from urllib.parse import parse_qsl, urlsplit

from loopback_server import Exchange, LoopbackServer


class RedirectListener(LoopbackServer):
    """Listens on a free port of 127.0.0.1 and keeps the query of the first redirect to `/callback`."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = threading.Event()
        self._query: dict[str, str] = {}

    @property
    def redirect_uri(self) -> str:
        """The redirect URI for the authorization server."""
        return f"http://127.0.0.1:{self.port}/callback"

    def wait(self, seconds: float = 20) -> dict[str, str]:
        """Return the redirect's query once it has arrived."""
        assert self._arrived.wait(seconds), f"no redirect arrived within {seconds} s"
        return self._query

    def serve(self, exchange: Exchange) -> None:
        """Show a page, and keep the query of the redirect."""
        page = b"<title>Signed in</title><p>You can close this page."
        exchange.answer(200, page, {"Content-Type": "text/html"})
        if urlsplit(exchange.path).path == "/callback":
            self._query = dict(parse_qsl(urlsplit(exchange.path).query))
            self._arrived.set()
