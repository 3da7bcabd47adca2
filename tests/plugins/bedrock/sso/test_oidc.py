"""Arbitrary responses of SSO-OIDC cause neither unexpected exceptions nor leaks."""

from __future__ import annotations

import json
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.errors import FreshkeyError
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.oidc import IdentityCenter
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_testing.secret_scan import assert_no_secret
from sending import on_loopback
from sso_answers import answering, anything, outcome, session
from sso_double import START_URL, SsoDouble, fields_of


CANARY = "canary-of-the-client-secret"


@settings(deadline=None)  # slow on a busy machine
@given(st.dictionaries(st.sampled_from(["clientId", "clientSecret", "clientSecretExpiresAt"]), anything))
def test_any_registration_is_accepted_or_refused(printed: dict[str, object]) -> None:
    outcome(lambda: oidc.register(answering(json.dumps(printed).encode()), "browser"))


@settings(deadline=None)  # slow on a busy machine
@given(st.dictionaries(st.sampled_from(["accessToken", "refreshToken", "expiresIn", "tokenType", "x"]), anything))
def test_any_token_is_accepted_or_refused(printed: dict[str, object]) -> None:
    outcome(lambda: oidc.renewed(session(), answering(json.dumps(printed).encode())))


@settings(deadline=None)  # slow on a busy machine
@given(st.binary(max_size=60), st.sampled_from([200, 201, 400, 401, 403, 404, 408, 429, 500, 503]))
def test_any_body_causes_a_freshkey_error_or_none(body: bytes, status: int) -> None:
    for call in (
        lambda: oidc.renewed(session(), answering(body, status)),
        lambda: oidc.register(answering(body, status), "device"),
    ):
        outcome(call)


def test_failed_sign_in_does_not_leak_the_client_secret(double: SsoDouble, clock: ManualClock) -> None:
    double.knobs.bodies["/client/register"] = json.dumps(
        {"clientId": "c", "clientSecret": CANARY, "clientSecretExpiresAt": 2_000_000_000}
    ).encode()
    place = IdentityCenter(
        oidc=double.url,
        start_url=START_URL,
        profile=on_loopback(clock=clock),
    )
    for flow in ("browser", "device"):
        with pytest.raises(FreshkeyError) as error, ScriptedUser(browser=_decline) as user:
            oidc.sign_in(place, "device" if flow == "device" else "browser", user)
        shown = "".join(traceback.TracebackException.from_exception(error.value, capture_locals=True).format())
        assert_no_secret(shown, [CANARY], f"the traceback of the flow {flow}")


def _decline(url: str) -> None:
    asked = fields_of(url)
    follow(f"{asked['redirect_uri']}?error=access_denied&state={asked['state']}")
