"""Toolkit for provider authors: OAuth 2.0 for a public client on the person's own machine.

`authorize` and `device_sign_in` have a person sign in, `OAuthClient` exchanges, renews and revokes, `discover` reads a
server's metadata. Below them, requests and answers are pure functions: `freshkey.oauth.protocol`,
`freshkey.oauth.answers`, `freshkey.oauth.callback`.
"""

from __future__ import annotations

from freshkey.oauth.answers import (
    DeviceCode,
    Poll,
    TokenAnswer,
    read_device,
    read_device_token,
    read_revocation,
    read_token,
)
from freshkey.oauth.callback import read_callback, read_pasted
from freshkey.oauth.client import OAuthClient
from freshkey.oauth.device import device_sign_in
from freshkey.oauth.error_response import Refusal, read_refusal, refusal_error
from freshkey.oauth.loopback import LoopbackListener
from freshkey.oauth.metadata import discover
from freshkey.oauth.protocol import (
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
from freshkey.oauth.signin import authorize


__all__ = [
    "DeviceCode",
    "Grant",
    "LoopbackListener",
    "OAuthClient",
    "Pkce",
    "Poll",
    "Refusal",
    "Server",
    "TokenAnswer",
    "assertion_request",
    "authorization_url",
    "authorize",
    "code_request",
    "device_request",
    "device_sign_in",
    "device_token_request",
    "discover",
    "new_state",
    "read_callback",
    "read_device",
    "read_device_token",
    "read_pasted",
    "read_refusal",
    "read_revocation",
    "read_token",
    "refresh_request",
    "refusal_error",
    "revocation_request",
]
