"""Sign-ins in the browser without a port: the scripted user pastes the response."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Self


_PORT: Final = 49152
"""Of the range that no service has (RFC 6335, section 6); nothing is ever opened there."""


class PastedRedirect:
    """Takes the place of `freshkey.oauth.LoopbackListener` where requests are answered by a script, and opens no port.

    The user is shown the authorization URL itself, and answers the prompt for a pasted response: pass ``paste=…`` to
    `ScriptedUser`.

    Args:
        path: The path of the redirect URI.
        host: Its host.
        port: Its port, if the server accepts only one.
        others: What else the real one takes.
    """

    def __init__(
        self, *, path: str = "/callback", host: str = "127.0.0.1", port: int | None = None, **others: object
    ) -> None:
        del others
        authority = f"[{host}]" if ":" in host else host
        self.redirect_uri = f"http://{authority}:{port or _PORT}{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start_at(self, authorization_url: str | Callable[[], str]) -> str:
        """Return the authorization URL."""
        return authorization_url if isinstance(authorization_url, str) else authorization_url()

    def wait(self, given_up: threading.Event) -> None:
        """Wait until the user has pasted the response, or the sign-in is over."""
        given_up.wait()
