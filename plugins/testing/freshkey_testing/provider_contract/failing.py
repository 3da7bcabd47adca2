"""Checks of ``refresh`` with a server that refuses, fails, or does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from freshkey import Credential, Description, Profile
from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import Response
from freshkey_testing.exchanges import made_response
from freshkey_testing.overheard import Overheard
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, outcome_name, reject_broken, require, shown, tried
from freshkey_testing.provider_contract.results import check_silence
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import leaks, secrets_of


_PAUSE: Final = 7.0
_MAX_PAUSE: Final = 60.0
_NONSENSE: Final = {
    "an empty object": b"{}",
    "a page": b"<html>Welcome to the network of this hotel</html>",
    "a list": b"[]",
    "nothing": b"",
}

_QUOTED: Final = "kit-7f3a91c2-quoted"
_BODIES: Final = {
    "a page": ("text/html", f"<html><h1>Error</h1><p>ada@example.com sent {_QUOTED}</p></html>".encode()),
    "plain text": ("text/plain", f"cannot serve {_QUOTED}".encode()),
    "an unknown member": ("application/json", f'{{"error": "invalid_request", "debug": "{_QUOTED}"}}'.encode()),
}
_STATUSES: Final = (200, 400, 401, 403, 500)


class Failing(ProviderKit):
    """Each failure has one class of error, by which the core decides what to do next."""

    def test_a_refused_renewal_needs_the_user(
        self, hooks: Hooks, profile: Profile, owned: list[Credential], refusal: Response
    ) -> None:
        """If the server refuses the refresh token for good, raise `LoginRequired`, or `ProviderRefused`.

        The fixture ``refusal`` is the server's answer; override it if it does not speak OAuth.
        """
        for error in _outcomes(hooks, profile, owned, Wire(answers=(refusal,))):
            require(
                isinstance(error, LoginRequired | ProviderRefused),
                f"a refused renewal ended with {outcome_name(error)}: raise LoginRequired"
                " (the fixture refusal is what the server answers)",
            )

    def test_a_server_error_is_worth_another_try(self, hooks: Hooks, profile: Profile, owned: list[Credential]) -> None:
        """A 503 says nothing about the sign-in: raise `TransientError`, or `OutcomeUnknown`."""
        for error in _outcomes(hooks, profile, owned, Wire(answers=(made_response(503),))):
            require(
                isinstance(error, TransientError | OutcomeUnknown),
                f"a renewal answered with status 503 ended with {outcome_name(error)}: raise TransientError",
            )

    def test_a_rate_limit_is_heeded(self, hooks: Hooks, profile: Profile, owned: list[Credential]) -> None:
        """A 429 is a `TransientError`, whose ``retry_after`` is what the server asks for."""
        limit = made_response(429, {"Retry-After": f"{_PAUSE:.0f}"})
        for error in _outcomes(hooks, profile, owned, Wire(answers=(limit,))):
            require(
                isinstance(error, TransientError),
                f"a renewal answered with status 429 ended with {outcome_name(error)}: raise TransientError",
            )
            pause = getattr(error, "retry_after", None)
            require(
                pause is not None and _PAUSE <= pause <= _MAX_PAUSE,
                f"the server said Retry-After: {_PAUSE:.0f}, and the error has retry_after={pause}:"
                " pass on freshkey.plugin.retry_after(response.headers, profile.clock.now().wall)",
            )

    def test_what_was_not_sent_is_worth_another_try(
        self, hooks: Hooks, profile: Profile, owned: list[Credential]
    ) -> None:
        """If the connection cannot be made, nothing was sent: raise `TransientError`, as ``profile.send`` does."""
        for error in _outcomes(hooks, profile, owned, Wire(fault="before-sending")):
            require(
                isinstance(error, TransientError),
                f"a renewal that was not sent ended with {outcome_name(error)}: let TransientError through",
            )

    def test_a_lost_answer_is_an_unknown_outcome(
        self, hooks: Hooks, profile: Profile, description: Description, owned: list[Credential]
    ) -> None:
        """If no answer arrives, the token may be spent: raise `OutcomeUnknown`, as ``profile.send`` does.

        Only where nothing single-use was sent, `TransientError` is right too.
        """
        wire = Wire(fault="after-sending")
        tokens = {each.renewal_secret.reveal() for each in owned if each.renewal_secret is not None}
        for error in _outcomes(hooks, profile, owned, wire):
            times = sum(leaks(each.text, tokens) for each in wire.sent)
            spent = description.single_use and times > 0
            require(
                not spent or times == 1,
                f"refresh sent a single-use token {times} times after its answer was lost: send it once,"
                " the core decides whether it may be sent again",
            )
            allowed = OutcomeUnknown if spent else (OutcomeUnknown, TransientError)
            require(
                isinstance(error, allowed),
                f"a renewal whose answer was lost ended with {outcome_name(error)}: let OutcomeUnknown through",
            )

    @pytest.mark.parametrize("body", _NONSENSE)
    def test_an_answer_that_makes_no_sense_is_an_error_of_the_contract(
        self, hooks: Hooks, profile: Profile, owned: list[Credential], body: str
    ) -> None:
        """Whatever a server answers, raise one of the contract's errors: `ProtocolError` for what cannot be read."""
        answer = made_response(200, {"Content-Type": "application/json"}, body=_NONSENSE[body])
        for error in _outcomes(hooks, profile, owned, Wire(answers=(answer,))):
            require(
                error is not None,
                f"the server answered {body}, and refresh returned a credential: raise ProtocolError",
            )

    @pytest.mark.parametrize("body", _BODIES)
    def test_an_error_does_not_quote_the_response(
        self, hooks: Hooks, profile: Profile, description: Description, owned: list[Credential], body: str
    ) -> None:
        """The text of an error has nothing of a body but the code or the message that the API documents.

        Servers, and proxies on the way, repeat what was sent, with tokens and the user's data, and errors are logged.
        """
        kind, content = _BODIES[body]
        for status in _STATUSES:
            wire = Wire(answers=(made_response(status, {"Content-Type": kind}, body=content),))
            for credential in owned:
                for what, text in _texts(hooks, wire.of(profile), description, credential, wire):
                    require(
                        _QUOTED not in text,
                        f"the error of {what} quotes {body} with which the server answered (status {status}):"
                        " show the status, and at most the error code that the API documents",
                    )


def _texts(
    hooks: Hooks, profile: Profile, description: Description, credential: Credential, wire: Wire
) -> list[tuple[str, str]]:
    """Return what each hook that is given a credential says of the answers of `wire`."""
    with wire.watched():
        inspection, error = tried(lambda: hooks.inspect(profile, credential))
        renewal = caught(lambda: hooks.refresh(profile, credential)) if credential.renewable else None
        ending = caught(lambda: hooks.revoke(description, profile, credential))
    return [("describe", f"{inspection!r} {_told(error)}"), ("refresh", _told(renewal)), ("revoke", _told(ending))]


def _told(error: BaseException | None) -> str:
    """Return what a user is told of an error."""
    return "" if error is None else f"{error} {getattr(error, 'hint', None)}"


def _outcomes(hooks: Hooks, profile: Profile, owned: list[Credential], wire: Wire) -> Iterator[BaseException | None]:
    """Yield how a renewal of each credential ended, those that sent nothing left out; `wire` has what was sent."""
    for credential in owned:
        if not credential.renewable:
            continue
        heard = Overheard()
        wire.sent.clear()
        with wire.watched(), heard.records(), heard.output():
            error = caught(lambda held=credential: hooks.refresh(wire.of(profile), held))  # type: ignore[misc]
        check_silence(heard, secrets_of(credential), "refresh")
        require(not leaks(shown(error), secrets_of(credential)), "the error of refresh holds a secret: never quote one")
        reject_broken(error, "refresh")
        if wire.sent:
            yield error
