"""The fixtures of the pytest plugin, and what loading it costs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

import one_provider
from freshkey import Keeper, LoginRequired, OutcomeUnknown, Profile, ProviderRefused, TransientError
from freshkey.admin import SendToHosts
from freshkey.errors import ConfigurationError
from freshkey.events import Event
from freshkey.plugin import Request
from freshkey_testing import AuthorizationServer, ManualClock, ScriptedExchanges, ScriptedUser, UnexpectedRequest
from kit_runs import run
from one_world import script
from python_program import modules_after


pytest_plugins = ["pytester"]

URL = "https://id.example.com/token"


def post(url: str = URL, body: bytes = b"") -> Request:
    return Request(method="POST", url=url, body=body)


def test_it_is_found_by_pytest() -> None:
    (found,) = entry_points(group="pytest11", name="freshkey")
    assert found.value == "freshkey_testing.pytest_plugin"


def test_loading_it_loads_nothing_of_freshkey() -> None:
    loaded = modules_after("import pytest, freshkey_testing.pytest_plugin") - modules_after("import pytest")
    assert loaded == {"freshkey_testing", "freshkey_testing.not_applicable", "freshkey_testing.pytest_plugin"}


# --- scripted exchanges ----------------------------------------------------------------------------------------------


def test_an_exchange_is_answered_by_method_and_url(freshkey_http: ScriptedExchanges) -> None:
    freshkey_http.on("GET", URL, status=404)
    freshkey_http.on("POST", URL, headers={"X-Id": "7"}, json={"ok": True})

    response = freshkey_http(post(URL + "?a=b", b"sent"))

    assert (response.status, response.body, response.headers["x-id"]) == (200, b'{"ok": true}', "7")
    assert [each.body for each in freshkey_http.requests] == [b"sent"]


def test_an_exchange_is_answered_by_host_as_often_as_said(freshkey_http: ScriptedExchanges) -> None:
    freshkey_http.on("*", "id.example.com", body=b"first", times=1)
    freshkey_http.on("*", "id.example.com", body=b"then")
    assert [freshkey_http(post()).body for _ in range(3)] == [b"first", b"then", b"then"]


@pytest.mark.parametrize(
    ("fault", "raised", "received", "processed"),
    [
        ("before-sending", TransientError, 0, 0),
        ("after-sending", OutcomeUnknown, 1, 0),
        ("after-processing", OutcomeUnknown, 1, 1),
    ],
)
def test_faults_are_those_of_the_real_network(
    freshkey_http: ScriptedExchanges, fault: str, raised: type[Exception], received: int, processed: int
) -> None:
    acted: list[Request] = []
    freshkey_http.on("POST", URL, reply=acted.append, fault=fault)  # type: ignore[arg-type]
    with pytest.raises(raised):
        freshkey_http(post())
    assert (len(freshkey_http.requests), len(acted)) == (received, processed)


def test_within_a_block_everything_is_answered_in_another_way(freshkey_http: ScriptedExchanges) -> None:
    freshkey_http.on("POST", URL, status=200)
    with freshkey_http.instead(status=503):
        assert freshkey_http(post("https://other.example.com/")).status == 503
    assert freshkey_http(post()).status == 200


def test_an_unexpected_request_is_named_without_its_query() -> None:
    script = ScriptedExchanges()
    script.on("GET", URL)
    with pytest.raises(
        UnexpectedRequest, match=r"POST https://id\.example\.com/token; the script answers GET"
    ) as raised:
        script(post(URL + "?secret=value"))
    assert "secret" not in str(raised.value)
    assert len(script.unexpected) == 1


def test_only_hosts_of_the_description_are_called(freshkey_http: ScriptedExchanges) -> None:
    send = SendToHosts(["ID.example.com"], network=freshkey_http)
    freshkey_http.on("*", "*")
    assert send(post()).status == 200
    with pytest.raises(ProviderRefused, match=r"not allowed to call other\.example\.com"):
        send(post("https://other.example.com/"))
    with pytest.raises(ConfigurationError):
        send(post("http://id.example.com/"))


# --- profiles and keepers --------------------------------------------------------------------------------------------


def test_a_profile_has_the_clock_and_the_script(
    freshkey_profile: Callable[..., Profile], freshkey_clock: ManualClock, freshkey_http: ScriptedExchanges
) -> None:
    profile = freshkey_profile(one_provider, settings={"region": "there"}, name="work")
    freshkey_http.on("POST", "id.one.example", json={})

    assert (profile.name, profile.clock) == ("work", freshkey_clock)
    assert profile.send(post("https://id.one.example/token")).status == 200
    with pytest.raises(ProviderRefused):
        profile.send(post())


def test_an_installed_provider_is_found_by_its_id(freshkey_profile: Callable[..., Profile]) -> None:
    assert freshkey_profile("bedrock").provider == "bedrock"
    with pytest.raises(LookupError, match="no provider 'nonsense'"):
        freshkey_profile("nonsense")


def test_a_keeper_tells_its_events(
    freshkey_keeper: Callable[..., Keeper],
    freshkey_events: list[Event],
    freshkey_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = freshkey_keeper({"one": one_provider})
    with pytest.raises(LoginRequired):
        keeper.get()
    monkeypatch.setenv("ONE_KEY", "one-key-0123456789")
    freshkey_clock.advance(3600)
    assert keeper.get().source == "environment"
    assert [type(event).__name__ for event in freshkey_events][-1] == "Obtained"


def test_a_keeper_lives_by_the_script_without_a_socket(
    freshkey_keeper: Callable[..., Keeper],
    freshkey_clock: ManualClock,
    freshkey_http: ScriptedExchanges,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    script(freshkey_http)
    keeper = freshkey_keeper({"one": one_provider})
    keeper.login(interaction=ScriptedUser(paste="a-pasted-code-1"))
    first = keeper.get().headers()
    freshkey_clock.advance(3600)
    assert keeper.get().headers() != first
    assert [b"one-refresh-token-1" in request.body for request in freshkey_http.requests] == [False, True]
    keeper.logout()
    assert freshkey_http.requests[-1].url == "https://id.one.example/revoke"


def test_a_user_answers_as_scripted(freshkey_user: Callable[..., ScriptedUser]) -> None:
    assert freshkey_user(confirm=True).confirm("Sure?")


def test_a_server_runs_by_the_manual_clock(freshkey_authorization_server: AuthorizationServer) -> None:
    assert freshkey_authorization_server.urls.token.startswith("http://127.0.0.1:")


# --- what a run shows ------------------------------------------------------------------------------------------------

LEAK = """
import logging, warnings

def test_quiet(freshkey_canary):
    assert freshkey_canary().reveal().startswith("canary-")

def test_prints(freshkey_canary):
    print(freshkey_canary().reveal())

def test_logs(freshkey_canary):
    logging.getLogger("mine").debug("got %s", freshkey_canary().reveal())

def test_warns(freshkey_canary):
    warnings.simplefilter("always")
    warnings.warn(freshkey_canary().reveal())

def test_writes(freshkey_canary, tmp_path):
    (tmp_path / "left").write_text(freshkey_canary().reveal())

def test_writes_what_is_declared(freshkey_canary, tmp_path):
    freshkey_canary.allow(tmp_path / "left")
    (tmp_path / "left").write_text(freshkey_canary().reveal())
"""


def test_a_canary_is_found_wherever_it_is(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(pytester, monkeypatch, LEAK)
    result.assert_outcomes(passed=6, errors=4, warnings=1)
    assert result.stdout.str().count("holds a canary") >= 4
    found = [line for line in result.outlines if "canary-" in line]
    assert found == [line for line in found if "UserWarning" in line]  # pytest's own summary


UNEXPECTED = """
from freshkey.plugin import Request

def test_it(freshkey_http):
    try:
        freshkey_http(Request(method="GET", url="https://id.example.com/x"))
    except AssertionError:
        pass
"""


def test_an_unexpected_request_fails_although_it_was_caught(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, UNEXPECTED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*an unexpected request was sent: GET https://id.example.com/x; *"])
