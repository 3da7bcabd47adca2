"""Crash reports that print local variables show no secrets from the toolkit's frames (LEK-1, FAULT-60)."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

import pytest
from attrs import evolve

from freshkey._http.messages import form, json_body
from freshkey.errors import ConfigurationError, FreshkeyError, OutcomeUnknown
from freshkey.model.exchange import Request, Response
from freshkey.model.identity import Identity
from freshkey.oauth import (
    ClientAssertion,
    ClientSecretBasic,
    ClientSecretPost,
    OAuthClient,
    Pkce,
    PrivateKeyJwt,
    Server,
    TokenAnswer,
    protocol,
)
from freshkey.oauth.protocol import Encode, Grant
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


CANARY = "canary-5d1e77aa02c3"
TOKEN = Secret(CANARY)
UNSENDABLE = Secret(f"{CANARY}\ud800")
PKCE = Pkce(verifier=TOKEN, challenge="c")
GRANT = Grant(code=TOKEN, redirect_uri="http://127.0.0.1:1/c", pkce=PKCE, state="s")

Build = Callable[[Server, Secret, Mapping[str, str], Encode], Request]

BUILDERS: dict[str, Build] = {
    "code": lambda server, secret, extra, encode: protocol.code_request(
        server, client_id="c", code=secret, pkce=PKCE, redirect_uri="http://127.0.0.1:1/c", extra=extra, encode=encode
    ),
    "refresh": lambda server, secret, extra, encode: protocol.refresh_request(
        server, client_id="c", refresh_token=secret, extra=extra, encode=encode
    ),
    "assertion": lambda server, secret, extra, encode: protocol.assertion_request(
        server.token_endpoint, assertion=secret, extra=extra, encode=encode
    ),
    "token exchange": lambda server, secret, extra, encode: protocol.token_exchange_request(
        server.token_endpoint, subject_token=secret, extra=extra, encode=encode
    ),
    "client credentials": lambda server, secret, extra, encode: protocol.client_credentials_request(
        server, client_id="c", extra={**extra, "client_secret": secret.reveal()}, encode=encode
    ),
    "revocation": lambda server, secret, extra, encode: protocol.revocation_request(
        server, client_id="c", token=secret, hint="refresh_token", extra=extra, encode=encode
    ),
    "device": lambda server, secret, extra, encode: protocol.device_request(
        server, client_id="c", scopes=(), extra={**extra, "client_secret": secret.reveal()}, encode=encode
    ),
    "device token": lambda server, secret, extra, encode: protocol.device_token_request(
        server, client_id="c", device_code=secret, extra=extra, encode=encode
    ),
}


def report(act: Callable[[], object]) -> str:
    """Return a crash report of the error that `act` raises, without the frames of this file."""
    try:
        act()
    except FreshkeyError as error:
        ours = error.__traceback__
        while ours is not None and ours.tb_frame.f_code.co_filename == __file__:
            ours = ours.tb_next
        shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
        return "".join(shown.format())
    pytest.fail("nothing was raised")


@proves("FAULT-60", "LEK-1")
@pytest.mark.parametrize("request_of", BUILDERS)
def test_overriding_a_protocol_field_shows_no_secret(server: Server, request_of: str) -> None:
    name = {"assertion": "assertion", "token exchange": "subject_token"}.get(request_of, "client_id")
    shown = report(lambda: BUILDERS[request_of](server, TOKEN, {name: CANARY}, form))

    assert name in shown
    assert CANARY not in shown


@proves("FAULT-60", "LEK-1")
@pytest.mark.parametrize("request_of", BUILDERS)
def test_a_secret_that_cannot_be_encoded_is_not_quoted(server: Server, request_of: str) -> None:
    """The UnicodeEncodeError would carry the whole secret."""
    build = BUILDERS[request_of]

    with raises_code(ConfigurationError, "invalid-request-field") as caught:
        build(server, UNSENDABLE, {}, form)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert CANARY not in report(lambda: build(server, UNSENDABLE, {}, form))
    assert rb"\ud800" in build(server, UNSENDABLE, {}, json_body).body


@proves("FAULT-60", "LEK-1")
@pytest.mark.parametrize(
    "verb",
    [
        lambda client, more: client.exchange(GRANT, extra=more),
        lambda client, more: client.refresh(TOKEN, extra=more),
        lambda client, more: client.revoke(TOKEN, extra=more),
        lambda client, more: client.client_credentials(extra=more),
        lambda client, more: evolve(client, authentication=ClientSecretPost(TOKEN)).client_credentials(),
        lambda client, more: evolve(client, authentication=ClientSecretBasic(TOKEN)).push({"scope": CANARY}),
        lambda client, more: evolve(client, extra={}, authentication=PrivateKeyJwt(TOKEN)).refresh(TOKEN),
        lambda client, more: client.userinfo(TOKEN, known=Identity(account="a")),
        lambda client, more: client.jwt_bearer(TOKEN, extra=more),
        lambda client, more: client.token_exchange(TOKEN, extra=more),
        lambda client, more: evolve(client, extra={}, authentication=ClientAssertion(TOKEN)).client_credentials(),
        lambda client, more: client.verified_identity(TokenAnswer(access_token=TOKEN, extra={"id_token": CANARY})),
    ],
)
def test_a_failed_request_shows_none_of_its_fields(
    server: Server, verb: Callable[[OAuthClient, Mapping[str, str]], object]
) -> None:
    def lost(_: Request) -> NoReturn:
        raise OutcomeUnknown("no response")

    def refused(_: Request) -> Response:
        return Response(status=400, headers={}, body=f'{{"error": "{CANARY}"}}'.encode())

    server = evolve(
        server,
        userinfo_endpoint="https://id.example.com/me",
        pushed_authorization_request_endpoint="https://id.example.com/par",
    )
    for send in (lost, refused):
        client = OAuthClient(server=server, client_id="c", send=send, extra={"client_assertion": CANARY})
        assert CANARY not in report(lambda client=client: verb(client, {"client_secret": CANARY}))  # type: ignore[misc]
