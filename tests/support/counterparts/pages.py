"""Signs in on the pages of the real servers over plain HTTP: reads each form, fills it in and submits it."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx


LOGIN: Final = "alice"
ANSWERS: Final[Mapping[str, str]] = {"login": LOGIN, "username": LOGIN, "password": "any password"}
MAX_PAGES: Final = 20


class _Page(HTMLParser):
    """The first form of a page with its buttons, and the target of its cancel link.

    oidc-provider cancels with a link, or with a field instead of `confirm`; django-oauth-toolkit without the field
    `allow`, or with the value `deny` of the button `action`.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.actions: list[str] = []
        self.cancel: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = values.get("action", "")
        elif tag == "input" and values.get("name"):
            self.fields.setdefault(values["name"], values.get("value", ""))
        elif tag == "button" and values.get("name") == "action":
            self.actions.append(values.get("value", ""))
        elif tag == "a" and values.get("href", "").endswith("/abort"):
            self.cancel = values["href"]


class Visitor:
    """One user at one authorization server, with a cookie jar; `cookies` of an earlier visit are used and updated."""

    def __init__(
        self,
        url: str,
        *,
        deny: bool = False,
        answers: Mapping[str, str] = ANSWERS,
        cookies: httpx.Cookies | None = None,
    ) -> None:
        self._server = urlsplit(url).netloc
        self._deny = deny
        self._denied = False
        self._answers = answers
        self._cookies = httpx.Cookies() if cookies is None else cookies
        self._client = httpx.Client(trust_env=False, timeout=20, cookies=self._cookies)

    def walk(self, url: str) -> str:
        """Go from page to page until the server redirects to the client, and return that URL.

        If there is no redirect (at the end of a device sign-in), the URL of the last page is returned.
        """
        with self._client:
            request = self._client.build_request("GET", url)
            for _ in range(MAX_PAGES):
                response = self._client.send(request)
                following = self._next(response)
                self._cookies.update(self._client.cookies)
                if following is None or following.url.netloc.decode() != self._server:
                    return str(following.url if following else response.url)
                request = following
        raise AssertionError(f"the pages of {self._server} never ended")

    def _next(self, response: httpx.Response) -> httpx.Request | None:
        if response.is_redirect:
            return self._client.build_request("GET", urljoin(str(response.url), response.headers["location"]))
        assert response.is_success, f"{response.url} responded with {response.status_code}: {response.text[:500]}"
        page = _Page(response.text)
        if self._deny and page.cancel:
            return self._client.build_request("GET", urljoin(str(response.url), page.cancel))
        if page.action is None or self._denied:
            return None
        return self._client.build_request("POST", urljoin(str(response.url), page.action), data=self._filled(page))

    def _filled(self, page: _Page) -> dict[str, str]:
        if self._deny and "confirm" in page.fields:
            self._denied = True
            return {name: value for name, value in page.fields.items() if name != "confirm"} | {"abort": "yes"}
        if self._deny and "allow" in page.fields:
            return {name: value for name, value in page.fields.items() if name != "allow"}
        action = {"action": "deny" if self._deny else page.actions[0]} if page.actions else {}
        return {name: self._answers.get(name, value) for name, value in page.fields.items()} | action


def authorize(url: str, *, deny: bool = False) -> str:
    """Log in and consent (or cancel) at an authorization URL; return the redirect URL without opening it."""
    return Visitor(url, deny=deny).walk(url)


def sign_in(url: str, *, deny: bool = False) -> None:
    """Log in and consent (or cancel) at an authorization URL, and follow the redirect."""
    httpx.get(authorize(url, deny=deny), trust_env=False, timeout=20)


def approve_device(verification_uri: str, user_code: str, *, deny: bool = False) -> None:
    """Enter the user code of a device sign-in on its page, confirm it, log in and consent (or cancel)."""
    Visitor(verification_uri, deny=deny, answers={**ANSWERS, "user_code": user_code}).walk(verification_uri)
