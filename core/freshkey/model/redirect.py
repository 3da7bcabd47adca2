"""Where a browser comes back to at the end of a sign-in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, Self

from freshkey.secret import Secret


class RedirectListener(Protocol):
    """Waits for the authorization response of one sign-in: `freshkey.oauth.LoopbackListener`, and those of tests."""

    redirect_uri: str
    """The redirect URI to send to the server."""

    def __enter__(self) -> Self:
        """Start to listen, if the constructor has not."""

    def __exit__(self, *_: object) -> None:
        """Stop listening."""

    def start_at(self, authorization_url: str | Callable[[], str]) -> str:
        """Return the address to open in the browser, which leads to the URL, or to the one that is returned."""

    def wait(self, given_up: threading.Event) -> Secret | None:
        """Return the code of the response; None soon after the caller sets `given_up`."""


Listen = Callable[..., RedirectListener]
"""Makes the listener of one sign-in, with the arguments of `freshkey.oauth.LoopbackListener`."""
