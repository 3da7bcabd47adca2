"""A sign-in at IAM Identity Center as an application sees it: renewed early, stored, and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from catcher import Catcher
from freshkey import Configuration, Keeper, Validity
from freshkey.errors import LoginRequired, TransientError
from freshkey.model.credential import Credential
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import approve_device, follow
from freshkey_testing.secret_scan import assert_no_secret, secrets_of
from patience import Patience
from promises import proves
from raises_code import raises_code
from rotating import in_threads
from sso_double import SsoDouble
from waiting import until


HOUR = 3600.0

MakeKeeper = Callable[..., Keeper]


@pytest.fixture
def make_keeper(double: SsoDouble, clock: ManualClock, tmp_path: Path) -> Iterator[MakeKeeper]:
    keepers = []

    def make(*, without: Collection[str] = (), **settings: object) -> Keeper:
        table = {"provider": "bedrock", "store": "memory", "region": "us-east-1", **double.settings(), **settings}
        table = {name: value for name, value in table.items() if name not in without}
        keeper = Keeper(
            configuration=Configuration.of({"work": table}, state_dir=tmp_path / "state", default="work"),
            clock=clock,
            random=lambda: 0.0,
        )
        keepers.append(keeper)
        return keeper

    yield make
    for keeper in keepers:
        keeper.close()


@pytest.fixture
def keeper(make_keeper: MakeKeeper) -> Keeper:
    return make_keeper()


@pytest.fixture
def aws_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing reach AWS itself: the proxy of all other hosts is one that refuses."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def sign_in(keeper: Keeper) -> SsoCredential:
    with ScriptedUser(browser=follow) as user:
        keeper.login("work", interaction=user)
    return held(keeper)


def held(keeper: Keeper) -> SsoCredential:
    credential = keeper.get("work")
    assert isinstance(credential, SsoCredential)
    return credential


def key(credential: Credential) -> str:
    assert isinstance(credential, SsoCredential)
    return credential.access_key_id


def test_get_without_a_sign_in_raises(keeper: Keeper) -> None:
    with raises_code(LoginRequired, "no-credential-found") as caught:
        keeper.get("work")
    assert "freshkey login work" in str(caught.value.hint)


def test_timer_renews_role_credentials_before_expiration(keeper: Keeper, clock: ManualClock) -> None:
    first = sign_in(keeper)
    clock.advance(HOUR - 301)
    assert key(keeper.get("work")) == first.access_key_id
    clock.advance(2)
    until(lambda: key(keeper.get("work")) != first.access_key_id, "a proactive renewal")
    assert not first.expired(), "the old ones were still valid"


def test_device_sign_in_is_renewed(make_keeper: MakeKeeper, clock: ManualClock) -> None:
    keeper = make_keeper(sso_flow="device")
    with ScriptedUser(device=approve_device) as user, Patience(clock):
        keeper.login("work", interaction=user)
    first = held(keeper)
    clock.advance(HOUR - 200)
    until(lambda: key(keeper.get("work")) != first.access_key_id, "a proactive renewal")


def test_renewals_for_a_week_need_no_user(double: SsoDouble, keeper: Keeper, clock: ManualClock) -> None:
    first = sign_in(keeper)
    for _ in range(7):
        clock.advance(24 * HOUR)
        assert not keeper.get("work").expired()
    assert held(keeper).session.refresh_token != first.session.refresh_token
    assert double.count("/client/register") == 1


def test_hundred_threads_cause_one_renewal(double: SsoDouble, keeper: Keeper, clock: ManualClock) -> None:
    sign_in(keeper)
    before = double.count("/federation/credentials")
    clock.advance(2 * HOUR)
    answers = in_threads(100, lambda: key(keeper.get("work")))
    assert len(set(answers)) == 1
    assert double.count("/federation/credentials") == before + 1


def test_new_tokens_are_stored_even_if_the_portal_fails(
    double: SsoDouble, make_keeper: MakeKeeper, clock: ManualClock
) -> None:  # ROT-3
    keeper = make_keeper(store="file")
    first = sign_in(keeper)
    keeper.close()
    clock.advance(9 * HOUR)
    double.knobs.portal_status = [500]
    with pytest.raises(TransientError):
        make_keeper(store="file").get("work")
    clock.advance(61)
    later = held(make_keeper(store="file"))
    assert later.session.refresh_token != first.session.refresh_token
    assert double.count("/token") == 2, "one for the sign-in, one for the renewal"


def test_refused_credential_is_replaced(keeper: Keeper, clock: ManualClock) -> None:
    refused = sign_in(keeper)
    clock.advance(60)
    assert key(keeper.get("work", refused=refused)) != refused.access_key_id


def test_expired_registration_requires_a_sign_in_and_names_the_profile(keeper: Keeper, clock: ManualClock) -> None:
    sign_in(keeper)
    clock.advance(91 * 24 * HOUR)
    with raises_code(LoginRequired, "bedrock-sso-registration-expired") as caught:
        keeper.get("work")
    assert caught.value.profile == "work"
    assert "freshkey login work" in str(caught.value)


def test_clock_that_was_wrong_for_a_while_costs_no_sign_in(make_keeper: MakeKeeper, clock: ManualClock) -> None:
    with make_keeper(store="file") as keeper:
        sign_in(keeper)
        clock.advance(9 * HOUR)
        clock.step_wall(91 * 24 * HOUR)
        with raises_code(LoginRequired, "bedrock-sso-registration-expired"):
            keeper.refresh("work")
    clock.step_wall(-91 * 24 * HOUR)
    assert not make_keeper(store="file").get("work").expired()


def test_next_process_uses_the_stored_sign_in_without_requests(double: SsoDouble, make_keeper: MakeKeeper) -> None:
    signed_in = sign_in(make_keeper(store="file"))
    before = len(double.asked)
    assert held(make_keeper(store="file")) == signed_in
    assert len(double.asked) == before


@pytest.mark.parametrize(
    "changed", [{"sso_role_name": "Administrator"}, {"sso_start_url": "https://other.awsapps.com/start"}]
)
def test_sign_in_is_not_used_for_another_role_or_directory(
    double: SsoDouble, make_keeper: MakeKeeper, changed: dict[str, str]
) -> None:
    sign_in(make_keeper(store="file"))
    before = len(double.asked)
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        make_keeper(store="file", **changed).get("work")
    assert ("role" if "sso_role_name" in changed else "issuer") in caught.value.message
    assert len(double.asked) == before


def test_logout_ends_the_session_locally_and_at_the_server(double: SsoDouble, keeper: Keeper) -> None:
    token = sign_in(keeper).session.access_token.reveal()
    ended = keeper.logout("work")
    assert ended.revoked is True
    assert not double.honors(token)
    with pytest.raises(LoginRequired):
        keeper.get("work")


def test_logout_works_without_sso_settings(double: SsoDouble, make_keeper: MakeKeeper) -> None:
    sign_in(make_keeper(store="file"))
    settings = double.settings().keys() - {"allow_insecure_loopback"}
    ended = make_keeper(without=settings, store="file").logout("work")
    assert ended.revoked is False
    assert "sso_" in ended.detail
    with pytest.raises(LoginRequired):
        make_keeper(store="file").get("work")


@proves("STO-11")
@pytest.mark.parametrize(
    ("setting", "value"), [("sso_oidc_url", None), ("sso_portal_url", None), ("sso_region", "us-west-2")]
)
def test_sign_in_is_bound_to_where_its_tokens_go(make_keeper: MakeKeeper, setting: str, value: str | None) -> None:
    sign_in(make_keeper())
    with Catcher() as elsewhere:
        changed = make_keeper(**{setting: value or elsewhere.url})
        for ask in (changed.get, changed.refresh, changed.inspect):
            with raises_code(LoginRequired, "sign-in-settings-changed"):
                ask("work")
        assert changed.logout("work").revoked is False
    assert elsewhere.caught == []


@proves("STO-11")
def test_check_of_a_sign_in_ignores_configured_endpoints(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, aws_offline: None
) -> None:
    sign_in(keeper)
    with Catcher() as elsewhere:
        monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", elsewhere.url)
        assert keeper.inspect("work").validity is not Validity.VALID
    assert elsewhere.caught == []


def test_explain_and_status_show_no_secret(keeper: Keeper) -> None:
    credential = sign_in(keeper)
    shown = repr(keeper.explain("work")) + repr(keeper.status("work")) + repr(credential)
    assert "AWS IAM Identity Center sign-in" in shown
    assert_no_secret(shown, secrets_of(credential), "what is explained")


def test_renewal_sends_an_event(keeper: Keeper, clock: ManualClock) -> None:
    heard: list[str] = []
    over = threading.Event()
    sign_in(keeper)

    def on_change(event: object) -> None:
        heard.append(type(event).__name__)
        over.set()

    keeper.subscribe(on_change)
    clock.advance(HOUR - 299)
    until(over.is_set, "an event")
    assert heard[0] == "Renewed"
