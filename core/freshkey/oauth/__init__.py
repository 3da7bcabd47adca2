"""Toolkit for provider authors: OAuth 2.0 for programs on the user's own machine, and for machines without a user.

| you need | use |
| --- | --- |
| a user who signs in with a browser, here or elsewhere | `authorize`, `device_sign_in` |
| tokens for the code of that sign-in; newer ones; an end | `OAuthClient.exchange`, `refresh`, `revoke` |
| a token for the program itself | `OAuthClient.client_credentials` |
| a client that proves who it is | `OAuthClient.authentication`: `ClientSecretBasic`, `PrivateKeyJwt`, … |
| a token that an app signs with its own key | `signed_assertion` (``freshkey[jwt]``) |
| whose token it is | `OAuthClient.identity`, from the ID token; `OAuthClient.userinfo`, from the server |
| the same, with the signature verified | `OAuthClient.verified_identity` (``freshkey[jwt]``) |
| the endpoints of a server | `discover`, or a `Server` from its documentation |
| a token from elsewhere, exchanged for one of this server | `OAuthClient.token_exchange`, `OAuthClient.jwt_bearer` |
| a token from elsewhere that proves who the client is | `ClientAssertion` |
| an API that is not OAuth | `freshkey.plugin.raise_for_status` |

Below them, requests and responses are handled by pure functions: `freshkey.oauth.protocol`, `freshkey.oauth.answers`,
`freshkey.oauth.callback`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey import _lazy


if TYPE_CHECKING:
    from freshkey._http.messages import Fields
    from freshkey.oauth.answers import (
        DeviceCode,
        Poll,
        TokenAnswer,
        read_device,
        read_device_token,
        read_revocation,
        read_token,
    )
    from freshkey.oauth.assertion import Algorithm, signed_assertion
    from freshkey.oauth.authentication import (
        ClientAssertion,
        ClientAuthentication,
        ClientSecretBasic,
        ClientSecretJwt,
        ClientSecretPost,
        PrivateKeyJwt,
        PublicClient,
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
    from freshkey.oauth.id_token import identity_of, read_id_token
    from freshkey.oauth.id_token_signature import check_signature, keys_request, read_keys
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
        client_credentials_request,
        code_request,
        device_request,
        device_token_request,
        new_state,
        refresh_request,
        revocation_request,
        token_exchange_request,
    )
    from freshkey.oauth.pushed import PushedRequest
    from freshkey.oauth.response_body import read_members
    from freshkey.oauth.signin import authorize
    from freshkey.oauth.skew import MAX_SKEW, seconds_behind, warn_of_skew
    from freshkey.oauth.userinfo import read_userinfo, userinfo_request

_HOMES: Final = {
    "_http.messages": "Fields",
    "oauth.answers": "DeviceCode Poll TokenAnswer read_device read_device_token read_revocation read_token",
    "oauth.assertion": "Algorithm signed_assertion",
    "oauth.authentication": (
        "ClientAssertion ClientAuthentication ClientSecretBasic ClientSecretJwt ClientSecretPost PrivateKeyJwt "
        "PublicClient"
    ),
    "oauth.browser": "browser_program open_browser safe_url",
    "oauth.callback": "read_callback read_pasted",
    "oauth.client": "OAuthClient",
    "oauth.device": "device_sign_in",
    "oauth.error_response": (
        "Refusal TRANSIENT_CODES TRANSIENT_STATUSES clean_code read_refusal refusal_error retryable shown_code"
    ),
    "oauth.id_token": "identity_of read_id_token",
    "oauth.id_token_signature": "check_signature keys_request read_keys",
    "oauth.loopback": "LoopbackListener",
    "oauth.metadata": "discover",
    "oauth.protocol": (
        "DEVICE_GRANT Encode Grant Pkce Server assertion_request authorization_url client_credentials_request "
        "code_request device_request device_token_request new_state refresh_request revocation_request "
        "token_exchange_request"
    ),
    "oauth.pushed": "PushedRequest",
    "oauth.response_body": "read_members",
    "oauth.signin": "authorize",
    "oauth.skew": "MAX_SKEW seconds_behind warn_of_skew",
    "oauth.userinfo": "read_userinfo userinfo_request",
}

# Several names per line: one per line would fill a page.
# fmt: off
__all__ = [
    "DEVICE_GRANT", "MAX_SKEW", "TRANSIENT_CODES", "TRANSIENT_STATUSES", "Algorithm", "ClientAssertion",
    "ClientAuthentication", "ClientSecretBasic", "ClientSecretJwt", "ClientSecretPost", "DeviceCode", "Encode",
    "Fields", "Grant", "LoopbackListener", "OAuthClient", "Pkce", "Poll", "PrivateKeyJwt", "PublicClient",
    "PushedRequest", "Refusal", "Server", "TokenAnswer", "assertion_request", "authorization_url", "authorize",
    "browser_program", "check_signature", "clean_code", "client_credentials_request", "code_request",
    "device_request", "device_sign_in", "device_token_request", "discover", "identity_of", "keys_request",
    "new_state", "open_browser", "read_callback", "read_device", "read_device_token", "read_id_token", "read_keys",
    "read_members", "read_pasted", "read_refusal", "read_revocation", "read_token", "read_userinfo",
    "refresh_request", "refusal_error", "retryable", "revocation_request", "safe_url", "seconds_behind", "shown_code",
    "signed_assertion", "token_exchange_request", "userinfo_request", "warn_of_skew",
]
# fmt: on


__getattr__, __dir__ = _lazy(__name__, _HOMES)
