"""Sign-in on another device: the user enters a code there while we poll for the token (RFC 8628)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Final

from attrs import evolve

from freshkey._http.messages import Fields
from freshkey.clock import Clock
from freshkey.errors import (
    ConfigurationError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    TransientError,
)
from freshkey.model.exchange import Request, Send
from freshkey.model.interaction import Interaction
from freshkey.model.profile import Profile
from freshkey.oauth.answers import DeviceCode, Poll, TokenAnswer, read_device, read_device_token
from freshkey.oauth.browser import safe_url
from freshkey.oauth.client import OAuthClient
from freshkey.oauth.protocol import NOTHING, device_request, device_token_request


SLOWER: Final = 5.0
"""Seconds that each ``slow_down`` adds to the interval, permanently (RFC 8628, section 3.5)."""

MAX_BACK_OFF: Final = 60.0
"""Maximum interval in seconds that doubling reaches when the server is unreachable (RFC 8628, section 3.5)."""

MAX_WAIT: Final = 3600.0
"""Upper limit for the code's lifetime in seconds, in case the server sends an unreasonable one."""

WARNING: Final = (
    "Enter this code only if you started this sign-in yourself. If someone sent you a code, they are trying to sign in "
    "as you"
)


def device_sign_in(
    profile: Profile,
    client: OAuthClient,
    interaction: Interaction,
    *,
    scopes: tuple[str, ...],
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    given_up: threading.Event | None = None,
) -> TokenAnswer:
    """Sign the user in on any device that has a browser, and return the tokens.

    Args:
        profile: The profile, whose clock waits between polls.
        client: Its client, which sends both requests.
        interaction: Shows the user the code, the page to enter it on, and a warning about phishing.
        scopes: The scopes to request.
        extra: Additional fields of both requests.
        headers: Additional headers of both requests.
        given_up: Set by the caller to cancel the sign-in.

    Raises:
        LoginRequired: There is no user to show the code to, the user declined, the code expired, or the caller
            canceled.
        ProviderRefused: The server rejected the client or its request.
        ProtocolError: A response is malformed, is not the server's before there is a code, or the verification URL is
            unsafe.
        ConfigurationError: The server has no device authorization endpoint.
        TransientError: The sign-in could not be started.
    """
    clock = profile.clock
    begin = client.completed(partial(device_request, scopes=scopes), extra, headers)
    code = read_device(client.send(begin), clock.now().wall)
    expiry = clock.elapsed() + min(code.expires_in, MAX_WAIT)
    _show(code, interaction, allow_insecure_loopback=profile.allow_insecure_loopback)
    # Made anew for each poll: an assertion that authenticates the client is accepted once.
    poll = partial(device_token_request, device_code=code.device_code)
    interval = pause = code.interval
    while True:
        if clock.wait(given_up or threading.Event(), max(0.0, min(pause, expiry - clock.elapsed()))):
            raise LoginRequired("the sign-in was canceled", hint="Start the sign-in again", code="sign-in-canceled")
        if clock.elapsed() >= expiry:
            hint = "Start the sign-in again to get a new code"
            raise LoginRequired("the code was not entered before it expired", hint=hint, code="device-code-expired")
        try:
            answer = _poll(client.completed(poll, extra, headers), client.send, clock)
        except (TransientError, OutcomeUnknown) as error:
            if isinstance(error, ProtocolError) and not isinstance(error, IntermediaryAnswer):
                raise
            # Polling a failing server at full speed would add to its load and trigger rate limits, so RFC 8628
            # (section 3.5) recommends exponential backoff. The user may still be typing: give up only when the code
            # expires.
            interval = max(interval, min(2 * interval, MAX_BACK_OFF))
            asked = error.retry_after if isinstance(error, TransientError) else None
            pause = max(interval, asked or 0.0)
            continue
        if isinstance(answer, TokenAnswer):
            return answer
        pause = interval = interval + (SLOWER if answer is Poll.SLOW_DOWN else 0.0)


def _poll(request: Request, send: Send, clock: Clock) -> TokenAnswer | Poll:
    requested = clock.now()
    answer = read_device_token(send(request), clock.now().wall)
    return evolve(answer, requested=requested) if isinstance(answer, TokenAnswer) else answer


def _show(code: DeviceCode, interaction: Interaction, *, allow_insecure_loopback: bool) -> None:
    try:
        for address in filter(None, (code.verification_uri, code.verification_uri_complete)):
            safe_url(address, allow_insecure_loopback=allow_insecure_loopback)
    except ConfigurationError:
        pass
    else:
        interaction.notice(WARNING)
        interaction.show_device_code(code.user_code, code.verification_uri, code.verification_uri_complete)
        return
    raise ProtocolError(
        "the authorization server sent a verification URL that is not safe to open",
        code="invalid-verification-address",
    )
