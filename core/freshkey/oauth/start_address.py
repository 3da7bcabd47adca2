"""The local address that starts a sign-in: it answers one browser, and gives it a cookie to come back with.

Whatever is opened in a browser stands in an argument list, which every user of the machine can read. So what stands
there is an address of our own listener that is good for one browser; the authorization URL with its state is only in
the answer. The cookie tells that browser from all others where the kernel cannot (`freshkey._http.peer`).
See docs/decisions.md, "A sign-in starts at an address of its own listener".
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Literal

from attrs import define, field

from freshkey._http.peer import Kind
from freshkey.oauth import pages
from freshkey.oauth.redirect_request import Wanted, cookies, judge


_RANDOM_BYTES: Final = 32
_COOKIE_SECONDS: Final = 900
"""Longer than any attempt; after it, the port may belong to another program."""

Handed = Literal["nobody", "ours", "unknown"]


@define(kw_only=True)
class StartAddress:
    """The start address of one attempt.

    Attributes:
        redirect: Path and authority of the redirect URI. The start address is below it, so that one cookie is for both
            and for nothing else (RFC 6265, section 5.1.4).
        target: Returns the authorization URL, which is safe to open.
        handed: Who has been answered so far.
    """

    redirect: Wanted
    target: Callable[[], str] = field(repr=False)
    handed: Handed = field(init=False, default="nobody")
    _wanted: Wanted = field(init=False)
    _cookie: str = field(init=False, factory=lambda: secrets.token_urlsafe(_RANDOM_BYTES), repr=False)

    def __attrs_post_init__(self) -> None:
        path = f"{self.redirect.path.rstrip('/')}/{secrets.token_urlsafe(_RANDOM_BYTES)}"
        self._wanted = Wanted(path, self.redirect.authority)

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{self._wanted.authority}{self._wanted.path}"

    def is_asked_for(self, request: bytes) -> bool:
        """Whether a request is a browser's navigation to this address; a prefetch or a HEAD request is not."""
        return not isinstance(judge(request, self._wanted), HTTPStatus)

    def is_held_by(self, request: bytes) -> bool:
        """Whether a request comes from the browser that was answered here."""
        expected = self._cookie.encode()
        return any(hmac.compare_digest(value, expected) for value in cookies(request, self._cookie_name.encode()))

    def answer(self, request: bytes, kind: Kind) -> bytes | None:
        """Return the response to a request for this address; None if two parties have asked, so that it is given up.

        Args:
            request: The request, for which `is_asked_for` is true.
            kind: Who sent it; not a stranger.
        """
        if kind == "gone":
            return pages.REJECTED[HTTPStatus.FORBIDDEN]  # no one can read an answer, so none was given
        if not self.is_held_by(request):
            if self.handed == "unknown":
                return None  # one of the two is not the user, and may already have the state
            if self.handed == "ours" and kind == "unknown":
                return pages.ALREADY_STARTED
            self.handed = "ours" if kind == "ours" else "unknown"
        return pages.redirect(self.target(), self._set_cookie())

    def _set_cookie(self) -> str:
        path = "/" if ";" in self.redirect.path else self.redirect.path  # a semicolon would end the attribute
        # Lax: the way back is a navigation from the authorization server's site. Not Secure, which Safari refuses for
        # plain http on loopback.
        attributes = f"Path={path}; Max-Age={_COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        return f"{self._cookie_name}={self._cookie}; {attributes}"

    @property
    def _cookie_name(self) -> str:
        # Cookies do not tell ports apart (RFC 6265, section 8.5), and two sign-ins may be in progress.
        return f"freshkey_{self.redirect.authority.rpartition(':')[2]}"
