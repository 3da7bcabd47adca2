"""The authorization endpoint: consent, and the redirect with the code (RFC 6749, section 4.1; RFC 7636)."""

from __future__ import annotations

import html
import re
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import frozen

from freshkey_testing.server.grants import Refused
from freshkey_testing.server.wire import Answer, Asked, json_answer, page


if TYPE_CHECKING:
    from collections.abc import Callable

    from freshkey_testing.server.account import Account
    from freshkey_testing.server.client_check import ClientCheck
    from freshkey_testing.server.grants import Grants
    from freshkey_testing.server.policy import Policy

_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}
_FORM: Final = "application/x-www-form-urlencoded"
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@frozen(kw_only=True)
class Pending:
    """An authorization request, whose values the code exchange must repeat."""

    client_id: str
    redirect_uri: str
    challenge: str
    state: str | None
    nonce: str | None
    scopes: tuple[str, ...]
    account: Account
    end: float


class AuthorizeEndpoint:
    """Issues authorization codes.

    Args:
        policy: The server's behavior.
        grants: Generates secrets and writes the log.
        issuer: The server's issuer identifier.
        client_id: The one client the server knows.
        check: Checks how it authenticates.
        paste_uri: The redirect URI of the page that shows the code for the user to copy.
        account: Returns the account that approves.
        now: Returns elapsed seconds.
    """

    def __init__(
        self,
        policy: Policy,
        grants: Grants,
        *,
        issuer: str,
        client_id: str,
        check: ClientCheck,
        paste_uri: str,
        account: Callable[[], Account],
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._grants = grants
        self._issuer = issuer
        self._client_id = client_id
        self._check = check
        self._paste_uri = paste_uri
        self._account = account
        self._now = now
        self.codes: dict[str, Pending] = {}
        self._pushed: dict[str, dict[str, str]] = {}

    def answer(self, asked: Asked) -> Answer:
        """Respond to an authorization request; a wrong client or redirect URI is not redirected (section 4.1.2.1)."""
        names = [name for name, _ in asked.query]
        query = dict(asked.query)
        if len(names) != len(query):
            return page("<h1>A parameter is given twice.</h1>", 400)
        reference = query.get("request_uri")
        if reference is not None:
            pushed = self._pushed.pop(reference, {})
            if pushed.get("client_id") != query.get("client_id"):
                return page("<h1>Unknown or used request_uri.</h1>", 400)
            query = pushed
        elif self._policy.pushed_requests == "required" and "decision" not in query:
            return page("<h1>Push the request first.</h1>", 400)
        if query.get("client_id") != self._client_id or not self._registered(query.get("redirect_uri", "")):
            return page("<h1>Unknown client, or the redirect URI is not registered.</h1>", 400)
        if fault := _fault(query):
            return self._redirect(query, {"error": "invalid_request", "error_description": fault})
        return self._decide(query, query.pop("decision", self._policy.consent))

    def push(self, asked: Asked) -> Answer:
        """Take an authorization request, and return a reference that is good for one use (RFC 9126, section 2)."""
        kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._policy.pushed_requests == "none" or asked.method != "POST" or kind != _FORM:
            return json_answer({"error": "invalid_request"}, 400)
        fields = dict(parse_qsl(asked.body.decode(), keep_blank_values=True))
        try:
            self._check.check(asked, fields)
        except Refused as refused:
            return json_answer({"error": refused.error}, refused.status)
        if "request_uri" in fields or _fault(fields) or not self._registered(fields.get("redirect_uri", "")):
            return json_answer({"error": "invalid_request"}, 400)
        reference = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(24)}"
        self._pushed[reference] = fields
        self._grants.note("authorization.pushed")
        return json_answer({"request_uri": reference, "expires_in": 60}, 201)

    def show_code(self, asked: Asked) -> Answer:
        """Show ``code#state`` for the user to copy, like Claude's own page."""
        query = dict(asked.query)
        shown = html.escape(f"{query.get('code', '')}#{query.get('state', '')}")
        return page(f'<h1>Copy this code</h1><code id="code">{shown}</code>')

    def _decide(self, query: dict[str, str], decision: str) -> Answer:
        if decision == "page":
            links = {
                choice: html.escape(f"?{urlencode({**query, 'decision': choice})}") for choice in ("approve", "deny")
            }
            choices = " ".join(f'<a id="{choice}" href="{link}">{choice}</a>' for choice, link in links.items())
            return page(f"<h1>Let {html.escape(self._client_id)} act for you?</h1>{choices}")
        if decision != "approve":
            self._grants.note("authorization.denied")
            return self._redirect(query, {"error": "access_denied"})
        self._grants.note("authorization.approved")
        return self._redirect(query, {"code": self._new_code(query)})

    def _new_code(self, query: dict[str, str]) -> str:
        code = self._grants.make_secret("code")
        self.codes[code] = Pending(
            client_id=query["client_id"],
            redirect_uri=query["redirect_uri"],
            challenge=query["code_challenge"],
            state=query.get("state"),
            nonce=query.get("nonce"),
            scopes=tuple(query.get("scope", "").split()),
            account=self._account(),
            end=self._now() + self._policy.code_lifetime,
        )
        return code

    def _redirect(self, query: dict[str, str], fields: dict[str, str]) -> Answer:
        if "state" in query:
            fields["state"] = query["state"]
        if self._policy.iss_in_callback:
            fields["iss"] = self._issuer
        address = query["redirect_uri"]
        return Answer(status=302, headers={"Location": f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"})

    def _registered(self, address: str) -> bool:
        """Accept the paste page, and any port of loopback (RFC 8252, section 7.3)."""
        parts = urlsplit(address)
        return address == self._paste_uri or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _fault(query: dict[str, str]) -> str | None:
    if query.get("response_type") != "code":
        return "response_type must be code"
    if query.get("code_challenge_method") != "S256":
        return "PKCE with S256 is required"
    if not _CHALLENGE.fullmatch(query.get("code_challenge", "")):
        return "code_challenge is not a SHA-256 in base64url"
    return None
