"""The public OAuth toolkit against a certified authorization server and a real browser."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import evolve

from counterparts.browser import browser_script, chromium_page
from counterparts.oidc import OidcServer, approve_device
from counterparts.oidc import authorize as approve
from counterparts.oidc import sign_in as visit
from counterparts.requires import require
from freshkey.errors import (
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.oauth import (
    Grant,
    LoopbackListener,
    OAuthClient,
    Server,
    TokenAnswer,
    authorize,
    browser,
    device_sign_in,
    discover,
)
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser
from promises import proves
from raises_code import raises_code
from sending import on_loopback


pytestmark = pytest.mark.counterpart

SCOPES = ("openid", "offline_access")

HERE = on_loopback()


@pytest.fixture(scope="module")
def oidc() -> Iterator[OidcServer]:
    with OidcServer(access_token_seconds=60) as server:
        yield server


@pytest.fixture
def server(oidc: OidcServer) -> Server:
    return discover(HERE, oidc.issuer)


@pytest.fixture
def client(oidc: OidcServer, server: Server) -> OAuthClient:
    return OAuthClient(server=server, client_id=oidc.client_id, send=HERE.send)


SignIn = Callable[..., Grant]


@pytest.fixture
def sign_in(client: OAuthClient) -> SignIn:
    return functools.partial(authorize, HERE, client, scopes=SCOPES, extra={"prompt": "consent"})


@pytest.fixture
def token(sign_in: SignIn, client: OAuthClient) -> TokenAnswer:
    with ScriptedUser(browser=visit) as user:
        return client.exchange(sign_in(interaction=user))


def refresh_token(answer: TokenAnswer) -> Secret:
    assert answer.refresh_token is not None
    return answer.refresh_token


def test_discovery(oidc: OidcServer, server: Server) -> None:  # FLO-11
    assert server == Server(
        issuer=oidc.issuer,
        authorization_endpoint=oidc.url("/auth"),
        token_endpoint=oidc.url("/token"),
        revocation_endpoint=oidc.url("/token/revocation"),
        device_authorization_endpoint=oidc.url("/device/auth"),
        pushed_authorization_request_endpoint=oidc.url("/request"),
        userinfo_endpoint=oidc.url("/me"),
        jwks_uri=oidc.url("/jwks"),
        authentication_methods=server.authentication_methods,
        iss_required=True,
    )
    assert {"none", "client_secret_basic", "private_key_jwt"} < set(server.authentication_methods)


@pytest.mark.parametrize("other", ["/", "/tenant"])
def test_discovery_of_a_wrong_issuer(oidc: OidcServer, other: str) -> None:
    with pytest.raises(ProviderRefused) as caught:
        discover(HERE, oidc.issuer + other)
    assert caught.value.code in {"metadata-not-found", "metadata-issuer-mismatch"}


def test_signing_in_by_redirect(token: TokenAnswer) -> None:
    assert token.expires_in == 60
    assert token.granted(SCOPES) == SCOPES
    assert token.refresh_token is not None
    assert "id_token" in token.extra


def test_signing_in_with_a_pushed_request(sign_in: SignIn, client: OAuthClient) -> None:
    with ScriptedUser(browser=visit) as user:
        grant = sign_in(interaction=user)

    assert dict(parse_qsl(urlsplit(user.opened[0]).query)).keys() == {"client_id", "request_uri"}
    assert client.exchange(grant).refresh_token is not None


def test_signing_in_at_localhost(sign_in: SignIn, client: OAuthClient) -> None:
    with ScriptedUser(browser=visit) as user:
        grant = sign_in(interaction=user, redirect_host="localhost")

    assert grant.redirect_uri.startswith("http://localhost:")
    assert client.exchange(grant).refresh_token is not None


def test_signing_in_by_pasting_the_address_bar(sign_in: SignIn, client: OAuthClient) -> None:  # FLO-9
    def address_bar(urls: Sequence[str]) -> str:
        return approve(urls[0])

    with ScriptedUser(paste=address_bar) as user:
        grant = sign_in(interaction=user)

    assert client.exchange(grant).refresh_token is not None


def test_declining(sign_in: SignIn) -> None:  # FLO-12
    browser = functools.partial(visit, deny=True)
    with ScriptedUser(browser=browser) as user, raises_code(LoginRequired, "sign-in-not-completed") as caught:
        sign_in(interaction=user)
    assert "access_denied" in str(caught.value)


def test_a_code_works_once(sign_in: SignIn, client: OAuthClient) -> None:  # FLO-12
    with ScriptedUser(browser=visit) as user:
        grant = sign_in(interaction=user)
    client.exchange(grant)

    with raises_code(LoginRequired, "sign-in-ended") as refused:
        client.exchange(grant)
    assert "invalid_grant" in str(refused.value)


def test_the_redirect_uri_and_the_verifier_are_checked_by_the_server(sign_in: SignIn, client: OAuthClient) -> None:
    with ScriptedUser(browser=visit) as user:
        first, second = sign_in(interaction=user), sign_in(interaction=user)

    mixed = Grant(code=first.code, redirect_uri=first.redirect_uri, pkce=second.pkce, state=first.state)
    with raises_code(LoginRequired, "sign-in-ended"):
        client.exchange(mixed)
    moved = Grant(code=second.code, redirect_uri=first.redirect_uri, pkce=second.pkce, state=second.state)
    with raises_code(LoginRequired, "sign-in-ended"):
        client.exchange(moved)


@proves("FAULT-56", "FLO-3")
def test_another_servers_response_is_rejected(oidc: OidcServer, client: OAuthClient) -> None:
    # What was pushed to one server, another one does not know.
    plain = evolve(client, server=evolve(client.server, pushed_authorization_request_endpoint=None))
    with OidcServer(client_id=oidc.client_id) as attacker:

        def mixed_up(url: str) -> None:
            visit(url.replace(oidc.issuer, attacker.issuer))
            visit(url)

        with ScriptedUser(browser=mixed_up) as user:
            grant = authorize(HERE, plain, user, scopes=SCOPES, extra={"prompt": "consent"})
        assert attacker.count("authorization.success") == 1

        with raises_code(LoginRequired, "sign-in-ended"):
            OAuthClient.of(HERE, discover(HERE, attacker.issuer), attacker.client_id).exchange(grant)


# --- renewal -------------------------------------------------------------------------------------------------------


def test_each_renewal_returns_a_new_refresh_token(client: OAuthClient, token: TokenAnswer) -> None:  # ROT-8
    renewed = client.refresh(refresh_token(token))
    again = client.refresh(refresh_token(renewed))

    assert len({answer.access_token for answer in (token, renewed, again)}) == 3
    assert len({refresh_token(answer) for answer in (token, renewed, again)}) == 3


def test_a_spent_refresh_token_ends_the_sign_in(client: OAuthClient, token: TokenAnswer) -> None:
    renewed = client.refresh(refresh_token(token))

    with raises_code(LoginRequired, "sign-in-ended"):
        client.refresh(refresh_token(token))
    with raises_code(LoginRequired, "sign-in-ended"):
        client.refresh(refresh_token(renewed))


def test_scopes_can_be_narrowed(client: OAuthClient, token: TokenAnswer) -> None:
    narrowed = client.refresh(refresh_token(token), scopes=("openid",))

    assert narrowed.granted(SCOPES) == ("openid",)


def test_a_scope_that_was_never_granted_is_refused(client: OAuthClient, token: TokenAnswer) -> None:
    with raises_code(ProviderRefused, "request-refused") as caught:
        client.refresh(refresh_token(token), scopes=("email",))
    assert "invalid_scope" in str(caught.value)


def test_an_unknown_client(oidc: OidcServer, server: Server, token: TokenAnswer) -> None:  # FAULT-31
    stranger = OAuthClient(server=server, client_id="stranger", send=HERE.send)

    with raises_code(ProviderRefused, "request-refused") as caught:
        stranger.refresh(refresh_token(token))
    assert "invalid_client" in str(caught.value)


def test_an_outage_differs_from_a_lost_response() -> None:  # FAULT-32, FAULT-34
    with OidcServer() as oidc:
        server = discover(HERE, oidc.issuer)
        client = OAuthClient(server=server, client_id=oidc.client_id, send=HERE.send)
        with ScriptedUser(browser=visit) as user:
            token = client.exchange(authorize(HERE, client, user, scopes=SCOPES, extra={"prompt": "consent"}))

        oidc.refuse(1, 503)
        with raises_code(TransientError, "server-unavailable") as unavailable:
            client.refresh(refresh_token(token))
        assert "503" in str(unavailable.value)
        oidc.refuse(1, 400)
        with raises_code(IntermediaryAnswer, "answered-in-between") as unreadable:
            client.refresh(refresh_token(token))
        assert "invalid_grant" not in str(unreadable.value)
        assert oidc.count("refresh_token.consumed") == 0
        oidc.lose_answers()
        with raises_code(OutcomeUnknown, "response-lost"):
            client.refresh(refresh_token(token))
        assert oidc.count("refresh_token.consumed") == 1

    with raises_code(TransientError, "connection-failed"):
        client.refresh(refresh_token(token))


# --- revocation: NET-9 ----------------------------------------------------------------------------------------------


def test_revoking_ends_the_sign_in_and_may_be_done_twice(client: OAuthClient, token: TokenAnswer) -> None:
    client.revoke(refresh_token(token))
    client.revoke(refresh_token(token))

    with raises_code(LoginRequired, "sign-in-ended") as refused:
        client.refresh(refresh_token(token))
    assert "invalid_grant" in str(refused.value)


def test_revoking_an_unknown_token(client: OAuthClient) -> None:
    client.revoke(Secret("never-issued"))


# --- another device: FLO-10 -----------------------------------------------------------------------------------------


@pytest.fixture
def device_flow(oidc: OidcServer, server: Server) -> Callable[..., TokenAnswer]:
    """A device sign-in that the user approves within the first interval, without real waiting."""

    def run(*, deny: bool = False) -> TokenAnswer:
        clock = ManualClock()

        def device(user_code: str, verification_uri: str, complete_uri: str | None) -> None:
            approve_device(verification_uri, user_code, deny=deny)
            (pause,) = clock.wait_until_waiting()
            clock.advance(pause)

        with ScriptedUser(device=device) as user:
            profile = evolve(HERE, clock=clock)
            client = OAuthClient.of(profile, server, oidc.client_id)
            return device_sign_in(profile, client, user, scopes=SCOPES)

    return run


def test_signing_in_on_another_device(device_flow: Callable[..., TokenAnswer], client: OAuthClient) -> None:
    token = device_flow()

    assert token.granted(SCOPES) == SCOPES
    assert client.refresh(refresh_token(token)).refresh_token is not None


def test_declining_on_another_device(device_flow: Callable[..., TokenAnswer]) -> None:
    with raises_code(LoginRequired, "sign-in-not-completed") as caught:
        device_flow(deny=True)
    assert "access_denied" in str(caught.value)


# --- a real browser ------------------------------------------------------------------------------------------------


def test_chromium_signs_in(sign_in: SignIn, client: OAuthClient, tmp_path: Path) -> None:
    require("chromium")
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "BROWSER": str(browser_script(tmp_path))}

    def open_browser(url: str) -> None:
        assert browser.open_browser(url, allow_insecure_loopback=True, environ=environ)

    with ScriptedUser(browser=open_browser) as user:
        grant = sign_in(interaction=user)

    assert client.exchange(grant).refresh_token is not None


def test_chromium_renders_the_final_page(server: Server) -> None:  # FLO-6
    require("chromium")
    given_up = threading.Event()
    with LoopbackListener(state="s", server=server) as listener, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(given_up.set)
        code = pool.submit(listener.wait, given_up)
        with chromium_page() as page:
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(f"{listener.redirect_uri}?code=c0de&state=s&iss={server.issuer}")

            assert page.inner_text("h1") == "You can close this page"
            # The policy allows the style by its hash; with a wrong hash it would not be applied.
            assert page.evaluate("getComputedStyle(document.querySelector('main')).textAlign") == "center"
            assert complaints == []
        assert code.result(10) == Secret("c0de")
