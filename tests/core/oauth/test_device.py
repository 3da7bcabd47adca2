from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import parse_qs

import pytest

from freshkey.clock import SYSTEM, Clock
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Request, Response, Send
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.oauth import OAuthClient, Server, TokenAnswer, device, device_sign_in
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser
from promises import proves
from raises_code import raises_code
from sending import scripted


Answer = Callable[..., Response]
BEGIN: dict[str, Any] = {
    "device_code": "dc-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example.com/device",
    "verification_uri_complete": "https://id.example.com/device?user_code=WDJB-MJHT",
    "expires_in": 600,
}


def start(
    server: Server,
    send: Send,
    user: Interaction,
    *,
    clock: Clock = SYSTEM,
    scopes: tuple[str, ...] = (),
    given_up: threading.Event | None = None,
) -> TokenAnswer:
    profile = scripted(send, clock=clock)
    client = OAuthClient.of(profile, server, "me")
    return device_sign_in(profile, client, user, scopes=scopes, given_up=given_up)


class Attempt:
    """A device sign-in on its own thread, with scripted responses and a manual clock."""

    def __init__(self, server: Server, *answers: Response | Exception) -> None:
        self.clock = ManualClock()
        self.user = ScriptedUser(device=lambda user_code, uri, complete: None)
        self.given_up = threading.Event()
        self.sent: list[Request] = []
        self.polled: list[float] = []
        self.result: Future[TokenAnswer] = Future()
        self._server = server
        self._answers = list(answers)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _send(self, request: Request) -> Response:
        self.sent.append(request)
        self.polled.append(self.clock.elapsed())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            self.result.set_result(
                start(
                    self._server,
                    self._send,
                    self.user,
                    clock=self.clock,
                    scopes=("a", "b"),
                    given_up=self.given_up,
                )
            )
        except FreshkeyError as error:
            self.result.set_exception(error)

    def next(self) -> float:
        """Advance the clock by the time that the sign-in waits for, and return it."""
        (pause,) = self.clock.wait_until_waiting()
        self.clock.advance(pause)
        return pause

    def pauses(self, count: int) -> list[float]:
        return [self.next() for _ in range(count)]

    def end(self) -> TokenAnswer:
        self._thread.join(10)
        return self.result.result(0)


Begin = Callable[..., Attempt]


@pytest.fixture
def begin(server: Server, answer: Answer) -> Begin:
    def make(*answers: Response | Exception, **change: object) -> Attempt:
        facts = {name: value for name, value in {**BEGIN, **change}.items() if value is not None}
        return Attempt(server, answer(facts), *answers)

    return make


@pytest.fixture
def pending(answer: Answer) -> Response:
    return answer({"error": "authorization_pending"}, 400)


@pytest.fixture
def slow_down(answer: Answer) -> Response:
    return answer({"error": "slow_down"}, 400)


@pytest.fixture
def token(answer: Answer) -> Response:
    return answer({"access_token": "at-1", "expires_in": 60, "scope": "a"})


# --- the flow: FLO-10 ----------------------------------------------------------------------------------------------


def test_a_device_sign_in_polls_until_the_user_approves(begin: Begin, pending: Response, token: Response) -> None:
    attempt = begin(pending, pending, token)

    assert attempt.pauses(3) == [5, 5, 5]
    assert attempt.end() == TokenAnswer(access_token=Secret("at-1"), expires_in=60.0, scopes=("a",))
    assert attempt.user.device_codes == [
        ("WDJB-MJHT", "https://id.example.com/device", "https://id.example.com/device?user_code=WDJB-MJHT")
    ]
    assert [request.url.rpartition("/")[2] for request in attempt.sent] == ["device", "token", "token", "token"]
    assert parse_qs(attempt.sent[0].body.decode()) == {"client_id": ["me"], "scope": ["a b"]}
    assert parse_qs(attempt.sent[1].body.decode())["device_code"] == ["dc-1"]


def test_the_user_is_warned_about_phishing_before_the_code_is_shown(begin: Begin, token: Response) -> None:
    attempt = begin(token)
    attempt.next()
    attempt.end()

    assert attempt.user.notices == [device.WARNING]


def test_the_server_sets_the_interval(begin: Begin, pending: Response, token: Response) -> None:
    attempt = begin(pending, token, interval=11)

    assert attempt.pauses(2) == [11, 11]
    attempt.end()


def test_slow_down_lengthens_the_interval_permanently(
    begin: Begin, pending: Response, slow_down: Response, token: Response
) -> None:
    attempt = begin(slow_down, pending, slow_down, pending, token)

    assert attempt.pauses(5) == [5, 10, 10, 15, 15]
    attempt.end()


@proves("FAULT-54", "FLO-10")
def test_polling_backs_off_while_the_server_is_unreachable(begin: Begin, pending: Response, token: Response) -> None:
    lost = OutcomeUnknown("no response")
    attempt = begin(TransientError("no connection"), lost, lost, lost, lost, pending, token, expires_in=3600)

    assert attempt.pauses(7) == [5, 10, 20, 40, 60, 60, 60]
    attempt.end()


def test_a_long_interval_is_never_shortened(begin: Begin, token: Response) -> None:
    attempt = begin(TransientError("no connection"), token, interval=100)

    assert attempt.pauses(2) == [100, 100]
    attempt.end()


def test_retry_after_lengthens_only_the_next_pause(
    begin: Begin, answer: Answer, pending: Response, token: Response
) -> None:
    attempt = begin(answer(b"", 429, {"retry-after": "90"}), pending, token)

    assert attempt.pauses(3) == [5, 90, 10]
    attempt.end()


def test_polling_stops_when_the_code_expires(begin: Begin, pending: Response) -> None:
    attempt = begin(pending, pending, expires_in=12)

    assert attempt.pauses(3) == [5, 5, 2]
    with raises_code(LoginRequired, "device-code-expired"):
        attempt.end()
    assert len(attempt.sent) == 3


def test_the_lifetime_of_a_code_is_capped_at_an_hour(begin: Begin) -> None:
    attempt = begin(expires_in=10**9, interval=10**9)

    assert attempt.next() == device.MAX_WAIT
    with raises_code(LoginRequired, "device-code-expired"):
        attempt.end()


def test_an_already_expired_code_is_not_polled(begin: Begin) -> None:
    attempt = begin(expires_in=0)
    with raises_code(LoginRequired, "device-code-expired"):
        attempt.end()
    assert len(attempt.sent) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"error": "access_denied"}, LoginRequired, "sign-in-not-completed"),
        (400, {"error": "expired_token"}, LoginRequired, "device-code-expired"),
        (400, {"error": "invalid_grant"}, LoginRequired, "sign-in-ended"),
        (401, {"error": "invalid_client"}, ProviderRefused, "request-refused"),
        (400, {"error": "unsupported_grant_type"}, ProviderRefused, "request-refused"),
        (200, b'{"access_token": "a', ProtocolError, "invalid-response"),
    ],
)
def test_responses_that_end_the_sign_in(
    begin: Begin, answer: Answer, *, status: int, body: object, kind: type[FreshkeyError], code: str
) -> None:
    attempt = begin(answer(body, status))
    attempt.next()

    with raises_code(kind, code):
        attempt.end()
    assert len(attempt.sent) == 2


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b""), (302, b""), (400, b""), (400, b"<html>"), (403, b"<html>")]
)
def test_an_answer_of_something_in_between_does_not_end_the_sign_in(
    begin: Begin, answer: Answer, status: int, body: bytes
) -> None:
    attempt = begin(answer(body, status), answer({"access_token": "at-1"}))
    attempt.next()
    attempt.next()

    assert attempt.end().access_token == Secret("at-1")


def test_the_caller_can_cancel(begin: Begin) -> None:
    attempt = begin()
    attempt.clock.wait_until_waiting()

    attempt.given_up.set()

    with raises_code(LoginRequired, "sign-in-canceled"):
        attempt.end()
    assert len(attempt.sent) == 1


# --- before anything is shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize("address", ["http://id.example.com/device", "javascript:alert(1)", "https://u:p@x/", "--flag"])
def test_an_unsafe_verification_url_is_not_shown(begin: Begin, member: str, address: str) -> None:  # FAULT-57
    attempt = begin(**{member: address})

    with raises_code(ProtocolError, "invalid-verification-address") as caught:
        attempt.end()
    assert address not in str(caught.value)
    assert attempt.user.device_codes == []


def test_verification_uri_complete_is_optional(begin: Begin, token: Response) -> None:
    attempt = begin(token, verification_uri_complete=None)
    attempt.next()
    attempt.end()

    assert attempt.user.device_codes == [("WDJB-MJHT", "https://id.example.com/device", None)]


def test_without_a_user_the_error_names_the_login_command(
    server: Server, answer: Answer, wire: Callable[..., Any]
) -> None:
    network = wire(answer(BEGIN))

    with pytest.raises(LoginRequired) as caught:
        start(server, network, NonInteractive("work"))
    assert "freshkey login work" in str(caught.value)
    assert len(network.sent) == 1


def test_a_refused_device_request(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    with raises_code(ProviderRefused, "request-refused"):
        start(server, wire(answer({"error": "invalid_client"}, 401)), ScriptedUser())
