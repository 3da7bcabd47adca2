"""Device sign-ins: codes, the page where the user enters one, and responses to polls (RFC 8628)."""

from __future__ import annotations

import secrets
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, get_args

from attrs import define

from freshkey_testing.server.grants import Refused
from freshkey_testing.server.wire import Answer, Asked, json_answer, page


if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from freshkey_testing.server.account import Account
    from freshkey_testing.server.grants import Grants, Issued
    from freshkey_testing.server.policy import Policy

_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Capitals that do not form words and are not mistaken for digits (RFC 8628, section 6.1)."""

Answered = Literal["pending", "slow_down", "denied", "expired", "approved"]
"""The possible responses to a poll."""

_REFUSALS: dict[Answered, str] = {
    "pending": "authorization_pending",
    "slow_down": "slow_down",
    "denied": "access_denied",
    "expired": "expired_token",
}


@define(kw_only=True)
class _Device:
    user_code: str
    scopes: tuple[str, ...]
    end: float
    approved: bool = False
    denied: bool = False


class DeviceEndpoint:
    """Issues device codes and responds to polls.

    Args:
        policy: The server's behavior.
        grants: Generates secrets and tokens.
        page_uri: The page where the user enters the user code.
        account: Returns the account that approves.
        now: Returns elapsed seconds.
    """

    def __init__(
        self,
        policy: Policy,
        grants: Grants,
        *,
        page_uri: str,
        account: Callable[[], Account],
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._grants = grants
        self._page_uri = page_uri
        self._account = account
        self._now = now
        self._devices: dict[str, _Device] = {}
        self._script: deque[Answered] = deque()

    def plan(self, answers: Collection[str]) -> None:
        """Script the responses to the next polls.

        Raises:
            ValueError: One of `answers` is not a possible response to a poll.
        """
        known: dict[str, Answered] = {answer: answer for answer in get_args(Answered)}
        odd = [answer for answer in answers if answer not in known]
        if odd:
            raise ValueError(f"unknown response to a poll: {', '.join(odd)}; known: {', '.join(known)}")
        self._script.extend(known[answer] for answer in answers)

    def begin(self, fields: dict[str, str]) -> Answer:
        """Respond to a device authorization request (section 3.2)."""
        code = self._grants.make_secret("dc")
        letters = [secrets.choice(_LETTERS) for _ in range(8)]
        user_code = f"{''.join(letters[:4])}-{''.join(letters[4:])}"
        self._devices[code] = _Device(
            user_code=user_code,
            scopes=tuple(fields.get("scope", "").split()),
            end=self._now() + self._policy.device_lifetime,
        )
        self._grants.note("device.issued")
        interval = self._policy.device_interval
        return json_answer(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": self._page_uri,
                "verification_uri_complete": f"{self._page_uri}?user_code={user_code}",
                "expires_in": max(1, int(self._policy.device_lifetime)),
                **({} if interval is None else {"interval": interval}),
            }
        )

    def enter_code(self, asked: Asked) -> Answer:
        """Approve the sign-in with the user code in the query; ``decision=deny`` denies it."""
        query = dict(asked.query)
        device = next((each for each in self._devices.values() if each.user_code == query.get("user_code")), None)
        if device is None:
            return page(
                "<h1>Enter the code your device shows</h1><form><input name=user_code><button>Go</button></form>"
            )
        device.denied = query.get("decision") == "deny"
        device.approved = not device.denied
        self._grants.note("device.denied" if device.denied else "device.approved")
        return page("<h1>Done. You can close this page.</h1>")

    def poll(self, code: str) -> Issued:
        """Respond to one poll (section 3.4): as scripted, otherwise by what the user did on the page.

        Raises:
            Refused: The code has no tokens, or not yet.
        """
        device = self._devices.get(code)
        if device is None:
            raise Refused("invalid_grant", "Unknown device code")
        answer = self._next_answer(device)
        self._grants.note("device.answered", detail=answer)
        if answer in _REFUSALS:
            raise Refused(_REFUSALS[answer], "See RFC 8628, section 3.5")
        del self._devices[code]
        return self._grants.begin("device_code", self._account(), device.scopes)

    def _next_answer(self, device: _Device) -> Answered:
        if self._script:
            return self._script.popleft()
        if self._now() >= device.end:
            return "expired"
        if device.denied:
            return "denied"
        return "approved" if device.approved else "pending"
