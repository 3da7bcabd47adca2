"""Toolkit for provider authors: OAuth 2.0 for a public client on the user's own machine.

`authorize` and `device_sign_in` sign the user in, `OAuthClient` exchanges, renews and revokes tokens, `discover` reads
a server's metadata. Below them, requests and responses are handled by pure functions: `freshkey.oauth.protocol`,
`freshkey.oauth.answers`, `freshkey.oauth.callback`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey import _lazy


if TYPE_CHECKING:
    from freshkey.oauth.answers import (
        DeviceCode,
        Poll,
        TokenAnswer,
        read_device,
        read_device_token,
        read_revocation,
        read_token,
    )
    from freshkey.oauth.browser import browser_program, open_browser, safe_url
    from freshkey.oauth.callback import read_callback, read_pasted
    from freshkey.oauth.client import OAuthClient
    from freshkey.oauth.device import device_sign_in
    from freshkey.oauth.error_response import (
        TRANSIENT_CODES,
        TRANSIENT_STATUSES,
        Refusal,
        clean_code,
        read_refusal,
        refusal_error,
        retryable,
        shown_code,
    )
    from freshkey.oauth.loopback import LoopbackListener
    from freshkey.oauth.metadata import discover
    from freshkey.oauth.protocol import (
        DEVICE_GRANT,
        Encode,
        Grant,
        Pkce,
        Server,
        assertion_request,
        authorization_url,
        code_request,
        device_request,
        device_token_request,
        new_state,
        refresh_request,
        revocation_request,
    )
    from freshkey.oauth.pushed import PushedRequest
    from freshkey.oauth.response_body import read_members
    from freshkey.oauth.signin import authorize
    from freshkey.oauth.skew import MAX_SKEW, seconds_behind, warn_of_skew

_HOMES: Final = {
    "oauth.answers": "DeviceCode Poll TokenAnswer read_device read_device_token read_revocation read_token",
    "oauth.browser": "browser_program open_browser safe_url",
    "oauth.callback": "read_callback read_pasted",
    "oauth.client": "OAuthClient",
    "oauth.device": "device_sign_in",
    "oauth.error_response": (
        "Refusal TRANSIENT_CODES TRANSIENT_STATUSES clean_code read_refusal refusal_error retryable shown_code"
    ),
    "oauth.loopback": "LoopbackListener",
    "oauth.metadata": "discover",
    "oauth.protocol": (
        "DEVICE_GRANT Encode Grant Pkce Server assertion_request authorization_url code_request "
        "device_request device_token_request new_state refresh_request revocation_request"
    ),
    "oauth.pushed": "PushedRequest",
    "oauth.response_body": "read_members",
    "oauth.signin": "authorize",
    "oauth.skew": "MAX_SKEW seconds_behind warn_of_skew",
}

# Several names per line: one per line would fill a page.
# fmt: off
__all__ = [
    "DEVICE_GRANT", "MAX_SKEW", "TRANSIENT_CODES", "TRANSIENT_STATUSES", "DeviceCode", "Encode", "Grant",
    "LoopbackListener", "OAuthClient", "Pkce", "Poll", "PushedRequest", "Refusal", "Server", "TokenAnswer",
    "assertion_request", "authorization_url", "authorize", "browser_program", "clean_code", "code_request",
    "device_request", "device_sign_in", "device_token_request", "discover", "new_state", "open_browser",
    "read_callback", "read_device", "read_device_token", "read_members", "read_pasted", "read_refusal",
    "read_revocation", "read_token", "refresh_request", "refusal_error", "retryable", "revocation_request",
    "safe_url", "seconds_behind", "shown_code", "warn_of_skew",
]
# fmt: on


__getattr__, __dir__ = _lazy(__name__, _HOMES)
