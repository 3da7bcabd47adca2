"""Redirects, token responses and renewals of hostile and broken issuers: what each costs, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import ManualClock, ScriptedExchanges, ScriptedUser
from promises import proves
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


HTML: Mapping[str, Any] = {"headers": {"content-type": "text/html"}, "body": b"<!DOCTYPE html><html></html>"}
MakeKeeper = Callable[..., Keeper]


@pytest.fixture
def make_keeper(freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer, freshkey_http: ScriptedExchanges) -> MakeKeeper:
    """Return keepers with one profile; arguments are settings. Any other request fails the test."""
    freshkey_http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)
    return lambda **more: freshkey_keeper(
        {"oidc": freshkey_oidc}, {"work": {"provider": "oidc", **issuer.settings, **more}}
    )


@pytest.fixture
def keeper(make_keeper: MakeKeeper) -> Keeper:
    return make_keeper()


def login(keeper: Keeper, issuer: ScriptedIssuer, **changes: str) -> OidcToken:
    with issuer.user(**changes) as user:
        token = keeper.login(interaction=user, replace=True)
    assert isinstance(token, OidcToken)
    return token


# --- the redirect ----------------------------------------------------------------------------------------------------


NOT_OURS: dict[str, dict[str, str]] = {
    "of another issuer": {"iss": "https://other.example.test"},
    "of the issuer with a slash": {"iss": ISSUER + "/"},
    "of no issuer": {"iss": ""},
    "of another sign-in": {"state": "another-state"},
    "of no sign-in": {"state": ""},
    "with an error of another issuer": {"code": "", "error": "access_denied", "iss": "https://other.example.test"},
    "with an error of another sign-in": {"code": "", "error": "access_denied", "state": "another-state"},
    "with a code and an error": {"error": "access_denied"},
}


@pytest.mark.parametrize("which", NOT_OURS)
@proves("FLO-3", "FAULT-56")
def test_response_to_something_else_does_not_end_the_sign_in_and_its_code_is_not_sent(
    which: str, keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    pastes = iter([{"code": "foreign-code"} | NOT_OURS[which], {}])
    with ScriptedUser(paste=lambda urls: issuer.redirected(urls, **next(pastes))) as user:
        keeper.login(interaction=user)
    assert [form["code"] for form in issuer.asked] == [["a-code"]]
    assert any("Invalid input" in notice for notice in user.notices)


ENDED: dict[str, tuple[dict[str, str], type[FreshkeyError], str]] = {
    "the user declined": ({"error": "access_denied"}, LoginRequired, "sign-in-not-completed"),
    "the scope is refused": ({"error": "invalid_scope"}, ProviderRefused, "sign-in-refused"),
    "the resource is refused": ({"error": "invalid_target"}, ProviderRefused, "sign-in-refused"),
    "the client is refused": ({"error": "unauthorized_client"}, ProviderRefused, "sign-in-refused"),
    "something in escapes": ({"error": "\x1b[2Jcanary-1"}, LoginRequired, "sign-in-not-completed"),
}


@pytest.mark.parametrize("which", ENDED)
def test_error_in_the_redirect(which: str, keeper: Keeper, issuer: ScriptedIssuer) -> None:
    first = login(keeper, issuer)
    changes, kind, code = ENDED[which]
    with raises_code(kind, code) as caught:
        login(keeper, issuer, code="", **changes)
    assert "\x1b" not in str(caught.value)
    assert "canary" not in str(caught.value)
    assert keeper.get().headers() == first.headers()


# --- the token endpoint ----------------------------------------------------------------------------------------------


TOKENS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "an unknown client": ({"status": 401, "json": {"error": "invalid_client"}}, ProviderRefused, "request-refused"),
    "a code that is over": ({"status": 400, "json": {"error": "invalid_grant"}}, LoginRequired, "sign-in-ended"),
    "a scope": ({"status": 400, "json": {"error": "invalid_scope"}}, ProviderRefused, "request-refused"),
    "a resource": ({"status": 400, "json": {"error": "invalid_target"}}, ProviderRefused, "request-refused"),
    "another type": (
        {"json": {"access_token": "access-7", "token_type": "DPoP"}},
        ProviderRefused,
        "unsupported-token-type",
    ),
    "no type that it says": (
        {"json": {"access_token": "access-7", "token_type": "N_A"}},
        ProviderRefused,
        "unsupported-token-type",
    ),
    "a type with a secret": (
        {"json": {"access_token": "access-7", "token_type": "access-7"}},
        ProviderRefused,
        "unsupported-token-type",
    ),
    "a token that breaks a header": (
        {"json": {"access_token": "access-7\r\nHost: x", "token_type": "Bearer"}},
        ProviderRefused,
        "unusable-access-token",
    ),
    "a page": (HTML, IntermediaryAnswer, "answered-in-between"),
    "a page with an error": ({**HTML, "status": 503}, TransientError, "server-unavailable"),
    "silence": ({"fault": "after-processing"}, OutcomeUnknown, "response-lost"),
    "no object": ({"json": ["access-7"]}, IntermediaryAnswer, "answered-in-between"),
}


def test_hint_after_a_secret_that_is_not_accepted_names_it(keeper: Keeper, issuer: ScriptedIssuer) -> None:
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other-token"
    issuer.http.on("POST", f"{ISSUER}/other-token", status=401, json={"error": "invalid_client"})
    with raises_code(ProviderRefused, "request-refused") as caught:
        login(keeper, issuer)
    assert "secret or key" in (caught.value.hint or "")


@pytest.mark.parametrize("which", TOKENS)
def test_token_endpoint_refuses_or_answers_nonsense(
    which: str, keeper: Keeper, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    first = login(keeper, issuer)
    answer, kind, code = TOKENS[which]
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other-token"
    issuer.http.on("POST", f"{ISSUER}/other-token", **answer)
    with raises_code(kind, code) as caught:
        login(keeper, issuer)
    assert "access-7" not in str(caught.value) + caplog.text
    assert keeper.get().headers() == first.headers()


# --- userinfo --------------------------------------------------------------------------------------------------------


USERINFO: dict[str, Mapping[str, Any]] = {
    "of another user": {"json": {"sub": "user-2", "name": "Eve"}},
    "of nobody": {"json": {"name": "Eve"}},
    "signed": {"headers": {"content-type": "application/jwt"}, "body": b"eyJhbGciOiJSUzI1NiJ9.e30.c2ln"},
    "a page": HTML,
    "refused": {"status": 401, "json": {}},
    "silent": {"fault": "after-sending"},
}


@pytest.mark.parametrize("which", USERINFO)
def test_userinfo_that_does_not_fit_is_not_used_and_the_sign_in_is_that_of_the_id_token(
    which: str, keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    issuer.metadata["userinfo_endpoint"] = f"{ISSUER}/other-userinfo"
    issuer.http.on("GET", f"{ISSUER}/other-userinfo", **USERINFO[which])
    with issuer.user() as user:
        token = keeper.login(interaction=user)
    assert (token.identity.account, token.identity.display_name) == ("user-1", None)
    assert any("could not look up the account" in notice for notice in user.notices)


def test_inspection_does_not_take_another_user_for_the_owner(keeper: Keeper, issuer: ScriptedIssuer) -> None:
    login(keeper, issuer)
    issuer.userinfo = {"sub": "user-2", "name": "Eve"}
    with raises_code(ProtocolError, "invalid-userinfo"):
        keeper.inspect()


# --- pushed requests -------------------------------------------------------------------------------------------------


def refuse_pushed(issuer: ScriptedIssuer, *, required: bool, status: int = 400, error: str = "invalid_request") -> None:
    issuer.metadata |= {
        "pushed_authorization_request_endpoint": f"{ISSUER}/push",
        "require_pushed_authorization_requests": required,
    }
    issuer.http.on("POST", f"{ISSUER}/push", status=status, json={"error": error})


def test_pushed_request_that_is_refused_ends_the_sign_in_if_the_issuer_takes_no_other(
    keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    refuse_pushed(issuer, required=True)
    with issuer.user() as user, raises_code(ProviderRefused, "request-refused"):
        keeper.login(interaction=user)
    assert user.opened == []


def test_pushed_request_that_is_refused_is_sent_by_the_browser_otherwise(
    keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    refuse_pushed(issuer, required=False)
    with issuer.user() as user:
        keeper.login(interaction=user)
    assert any("Continuing without it" in notice for notice in user.notices)


def test_client_whose_secret_is_not_accepted_is_told_before_the_browser_opens(
    make_keeper: MakeKeeper, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_pushed(issuer, required=False, status=401, error="invalid_client")
    monkeypatch.setenv("APP_SECRET", "made-up-secret")
    keeper = make_keeper(client_secret_variable="APP_SECRET")
    with issuer.user() as user, raises_code(LoginRequired, "client-not-accepted") as caught:
        keeper.login(interaction=user)
    assert user.opened == []
    assert "secret or key" in (caught.value.hint or "")


# --- devices ---------------------------------------------------------------------------------------------------------


def by_device(profile: Profile, clock: ManualClock, *, seconds: float) -> None:
    def wait(*_: object) -> None:
        clock.wait_until_waiting()
        clock.advance(seconds)

    with ScriptedUser(device=wait) as user:
        freshkey_oidc.acquire(profile, SIGN_IN, user)


DEVICE: dict[str, tuple[str, float, str]] = {
    "the user declined": ("access_denied", 5, "sign-in-not-completed"),
    "the code is over": ("expired_token", 5, "device-code-expired"),
    "nobody entered it": ("authorization_pending", 700, "device-code-expired"),
}


@pytest.mark.parametrize("which", DEVICE)
def test_device_code_that_leads_to_nothing(
    which: str, make_profile: Callable[..., Profile], issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    error, seconds, code = DEVICE[which]
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other-token"
    issuer.http.on("POST", f"{ISSUER}/other-token", status=400, json={"error": error})
    with raises_code(LoginRequired, code):
        by_device(make_profile(flow="device"), freshkey_clock, seconds=seconds)


def test_issuer_without_device_sign_ins(make_keeper: MakeKeeper, issuer: ScriptedIssuer) -> None:
    del issuer.metadata["device_authorization_endpoint"]
    with ScriptedUser() as user, pytest.raises(FreshkeyError) as caught:
        make_keeper(flow="device").login(interaction=user)
    assert caught.value.code == "endpoint-missing"


# --- renewals --------------------------------------------------------------------------------------------------------


RENEWALS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "the sign-in is over": ({"status": 400, "json": {"error": "invalid_grant"}}, LoginRequired, "sign-in-ended"),
    "the client is unknown": ({"status": 401, "json": {"error": "invalid_client"}}, ProviderRefused, "request-refused"),
    "the resource is refused": (
        {"status": 400, "json": {"error": "invalid_target"}},
        ProviderRefused,
        "request-refused",
    ),
}


@pytest.mark.parametrize("which", RENEWALS)
def test_renewal_that_is_refused_leaves_the_stored_sign_in(
    which: str, keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    login(keeper, issuer)
    answer, kind, code = RENEWALS[which]
    freshkey_clock.advance(3601)
    with issuer.http.instead(**answer), pytest.raises(kind) as caught:
        keeper.get()
    assert caught.value.code == code
    over = isinstance(caught.value, LoginRequired)
    if not over:
        freshkey_clock.advance(3601)
        keeper.refresh()
    asked = [form["refresh_token"] for form in issuer.asked if "refresh_token" in form]
    assert asked == ([] if over else [["refresh-1"]])


def test_redirect_of_a_renewal_is_not_followed(make_profile: Callable[..., Profile], issuer: ScriptedIssuer) -> None:
    profile = make_profile()
    with issuer.user() as user:
        token = freshkey_oidc.acquire(profile, SIGN_IN, user)
    elsewhere = {"location": "https://evil.example/token"}
    with (
        issuer.http.instead(status=307, headers=elsewhere),
        raises_code(TransientError, "request-blocked"),
    ):
        freshkey_oidc.refresh(profile, token, LoggingReporter())
    assert {urlsplit(request.url).hostname for request in issuer.http.requests} == {"id.example.test"}


@proves("FLO-13")
def test_renewal_with_the_tokens_of_another_user_is_kept_and_never_served(
    keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    login(keeper, issuer)
    issuer.claims = {"sub": "user-2"}
    freshkey_clock.advance(3601)
    with raises_code(ProviderRefused, "another-user"):
        keeper.get()
    issuer.claims = {}
    freshkey_clock.advance(3601)
    assert keeper.refresh().identity.account == "user-1"
    assert issuer.asked[-1]["refresh_token"] == ["refresh-2"]


@proves("FLO-13")
@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c.d.e", 7, {"sub": "user-2"}])
def test_renewal_with_an_id_token_that_cannot_be_read_keeps_its_tokens(
    token: object, keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    login(keeper, issuer)
    issuer.tokens = {"id_token": token}
    freshkey_clock.advance(3601)
    assert keeper.get().headers() == {"Authorization": "Bearer access-2"}
    assert keeper.get().identity.account == "user-1"


def test_id_token_and_userinfo_without_a_name_leave_the_known_one(
    keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    issuer.claims, issuer.userinfo = {"name": "Ada"}, {"sub": "user-1"}
    assert login(keeper, issuer).identity.display_name == "Ada"
    issuer.claims = {}
    freshkey_clock.advance(3601)
    assert keeper.get().identity.display_name == "Ada"


# --- sign-out --------------------------------------------------------------------------------------------------------


@proves("FLO-15")
def test_sign_out_at_an_issuer_without_revocation_says_so_and_forgets_the_sign_in(
    keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    del issuer.metadata["revocation_endpoint"]
    login(keeper, issuer)
    out = keeper.logout()
    assert out.revoked is False
    assert "revocation" in out.detail
    with pytest.raises(LoginRequired):
        keeper.get()


# --- foreign metadata ------------------------------------------------------------------------------------------------


@proves("FLO-15")
def test_issuer_with_a_path_is_found_behind_a_page_and_in_its_own_place(
    freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer, freshkey_http: ScriptedExchanges
) -> None:
    named = f"{ISSUER}/realms/one"
    freshkey_http.on("GET", f"{ISSUER}/.well-known/oauth-authorization-server/realms/one", **HTML)
    freshkey_http.on("GET", f"{named}/.well-known/oauth-authorization-server", status=404)
    freshkey_http.on("GET", f"{named}/.well-known/openid-configuration", json=issuer.metadata | {"issuer": named})
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    issuer.claims = {"iss": named}
    settings = {"provider": "oidc", **issuer.settings, "issuer": named}
    keeper = freshkey_keeper({"oidc": freshkey_oidc}, {"work": settings})
    assert login(keeper, issuer, iss=named).issuer == named


@proves("FLO-15")
def test_metadata_of_another_path_are_those_of_another_issuer(
    freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer, freshkey_http: ScriptedExchanges
) -> None:
    named = f"{ISSUER}/realms/one"
    freshkey_http.on("GET", "id.example.test", json=issuer.metadata | {"issuer": f"{ISSUER}/realms/two"})
    keeper = freshkey_keeper(
        {"oidc": freshkey_oidc}, {"work": {"provider": "oidc", **issuer.settings, "issuer": named}}
    )
    with ScriptedUser() as user, raises_code(ProviderRefused, "metadata-issuer-mismatch"):
        keeper.login(interaction=user)


METADATA: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "pages": (HTML, ProviderRefused, "invalid-response"),
    "nothing": ({"status": 404}, ProviderRefused, "metadata-not-found"),
    "JSON of something else": ({"json": {"status": "ok"}}, ProviderRefused, "metadata-not-found"),
    "errors": ({"status": 500}, TransientError, "metadata-unavailable"),
    "silence": ({"fault": "after-sending"}, TransientError, "metadata-unavailable"),
    "unreachable": ({"fault": "before-sending"}, TransientError, "connection-failed"),
    "an issuer alone": ({"json": {"issuer": ISSUER}}, ProviderRefused, "invalid-metadata"),
}


@pytest.mark.parametrize("which", METADATA)
@proves("FLO-15")
def test_issuer_without_metadata_that_can_be_used(
    which: str, freshkey_keeper: MakeKeeper, freshkey_http: ScriptedExchanges
) -> None:
    answer, kind, code = METADATA[which]
    freshkey_http.on("GET", "id.example.test", **answer)
    keeper = freshkey_keeper(
        {"oidc": freshkey_oidc}, {"work": {"provider": "oidc", "issuer": ISSUER, "client_id": "a"}}
    )
    with ScriptedUser() as user, raises_code(kind, code):
        keeper.login(interaction=user)
    assert user.opened == []


UNSET: dict[str, tuple[dict[str, str], str]] = {
    "issuer": ({"client_id": "app-1"}, "oidc-issuer-missing"),
    "client_id": ({"issuer": ISSUER}, "oidc-client-id-missing"),
}


@pytest.mark.parametrize("name", UNSET)
def test_profile_without_a_needed_setting_names_it(
    name: str, freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer
) -> None:
    settings, code = UNSET[name]
    keeper = freshkey_keeper({"oidc": freshkey_oidc}, {"work": {"provider": "oidc", **settings}})
    with issuer.user() as user, raises_code(ProviderRefused, code) as caught:
        keeper.login(interaction=user)
    assert name in str(caught.value.hint)
