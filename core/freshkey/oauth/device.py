"""A sign-in on another device: the person types a code there while we ask whether they have (RFC 8628)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from freshkey._http.messages import Send, form
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ConfigurationError, LoginRequired, OutcomeUnknown, ProtocolError, TransientError
from freshkey.model.interaction import Interaction
from freshkey.oauth.answers import DeviceCode, Poll, TokenAnswer, read_device, read_device_token
from freshkey.oauth.browser import safe_url
from freshkey.oauth.protocol import NOTHING, Encode, Server, device_request, device_token_request


SLOWER: Final = 5.0
"""Seconds that each ``slow_down`` adds to the interval, for good (RFC 8628, section 3.5)."""

MAX_BACK_OFF: Final = 60.0
"""Seconds up to which the interval is doubled when the server cannot be reached (RFC 8628, section 3.5)."""

MAX_WAIT: Final = 3600.0
"""Seconds that a person has at the most, whatever the server says: nobody waits longer, and a server may err."""

WARNING: Final = (
    "Enter the code only if you started this sign-in yourself just now. Whoever sends you such a code wants to sign in "
    "as you"
)


def device_sign_in(
    server: Server,
    *,
    client_id: str,
    scopes: tuple[str, ...],
    interaction: Interaction,
    send: Send,
    clock: Clock = SYSTEM,
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
    given_up: threading.Event | None = None,
    allow_insecure_loopback: bool = False,
) -> TokenAnswer:
    """Have a person sign in on any device that has a browser, and return the tokens.

    Args:
        server: The authorization server.
        client_id: The client's id there.
        scopes: What to ask for.
        interaction: The person; shown the code, the address to type it at, and a warning against phishing.
        send: Does the I/O.
        clock: Waits between two polls.
        extra: Further fields of both requests, such as a client's authentication.
        headers: Further headers of both requests.
        encode: How the server wants its fields.
        given_up: Set by the caller when the answer is no longer needed.
        allow_insecure_loopback: Accept a verification address on loopback without TLS, for tests.

    Raises:
        LoginRequired: There is nobody to show the code to, the person declined, the code expired, or the caller gave
            up.
        ProviderRefused: The server does not accept the client or its request.
        ProtocolError: An answer cannot be read, or the verification address may not be opened.
        ConfigurationError: The server has no device authorization endpoint.
        TransientError: The sign-in could not begin.
    """
    begin = device_request(server, client_id=client_id, scopes=scopes, extra=extra, headers=headers, encode=encode)
    code = read_device(send(begin), clock.now().wall)
    expiry = clock.elapsed() + min(code.expires_in, MAX_WAIT)
    _show(code, interaction, allow_insecure_loopback=allow_insecure_loopback)
    request = device_token_request(
        server, client_id=client_id, device_code=code.device_code, extra=extra, headers=headers, encode=encode
    )
    interval = pause = code.interval
    while True:
        if clock.wait(given_up or threading.Event(), max(0.0, min(pause, expiry - clock.elapsed()))):
            raise LoginRequired("the sign-in was given up", hint="Start it again to try once more")
        if clock.elapsed() >= expiry:
            hint = "Start the sign-in again for a new one"
            raise LoginRequired("the code was not entered before it expired", hint=hint)
        try:
            answer = read_device_token(send(request), clock.now().wall)
        except ProtocolError:
            raise
        except (TransientError, OutcomeUnknown) as error:
            interval = max(interval, min(2 * interval, MAX_BACK_OFF))
            asked = error.retry_after if isinstance(error, TransientError) else None
            pause = max(interval, asked or 0.0)
            continue
        if isinstance(answer, TokenAnswer):
            return answer
        pause = interval = interval + (SLOWER if answer is Poll.SLOW_DOWN else 0.0)


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
    raise ProtocolError("the authorization server wants the code typed at an address that may not be opened")
