from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from attrs import evolve

import example_provider
from free_port import free_port
from freshkey._http.peer import Peer
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.oauth import Grant, OAuthClient, Pkce, Server, authorize, loopback, signin
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser, UnexpectedQuestion
from promises import proves
from raises_code import raises_code


PASTE_URI = "https://console.example.com/oauth/code/callback?app=freshkey"


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def address(url: str, **answer: str) -> str:
    """Return the URL that a server redirects the browser to after the sign-in at `url`."""
    asked = parameters(url)
    separator = "&" if "?" in asked["redirect_uri"] else "?"
    return asked["redirect_uri"] + separator + urlencode({"state": asked["state"], **answer})


def visit(url: str) -> int:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()


def browse(url: str, code: str = "from-browser") -> None:
    assert visit(address(url, code=code)) == 200


def refuses(redirect_uri: str) -> bool:
    try:
        visit(redirect_uri)
    except OSError:
        return True
    return False


SignIn = Callable[..., Grant]


@pytest.fixture(autouse=True)
def known_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name peers as Linux does: elsewhere, a browser without cookies is not heard (see `test_start_address`)."""
    if sys.platform != "linux":
        known = functools.partial(loopback.LoopbackListener, find_peer=lambda _: Peer("ours"))
        monkeypatch.setattr(signin, "LoopbackListener", known)


@pytest.fixture
def sign_in(server: Server) -> SignIn:
    return functools.partial(at, server, scopes=("a", "b"))


def at(
    server: Server,
    *,
    interaction: Interaction,
    scopes: tuple[str, ...] = (),
    clock: Clock = SYSTEM,
    redirect_port: int | None = None,
    **options: Any,
) -> Grant:
    profile = example_provider.profile(clock=clock, redirect_port=redirect_port)
    return authorize(profile, OAuthClient.of(profile, server, "me"), interaction, scopes=scopes, **options)


@pytest.fixture
def threads() -> Callable[[], list[str]]:
    """Names of the freshkey threads that the test started and that are still running."""
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in set(threading.enumerate()) - before if "freshkey" in thread.name]


# --- with the browser ----------------------------------------------------------------------------------------------


def test_the_redirect_returns_the_code(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, extra={"login_hint": "alice"})

    (url,) = user.opened
    asked = parameters(url)
    assert url.startswith("https://id.example.com/authorize?")
    assert (asked["client_id"], asked["scope"], asked["login_hint"]) == ("me", "a b", "alice")
    assert asked["code_challenge_method"] == "S256"
    assert grant == Grant(
        code=Secret("from-browser"), redirect_uri=asked["redirect_uri"], pkce=grant.pkce, state=asked["state"]
    )
    assert grant.pkce.challenge == asked["code_challenge"]
    assert urlsplit(grant.redirect_uri).hostname == "127.0.0.1"
    assert urlsplit(grant.redirect_uri).path == "/callback"
    assert refuses(grant.redirect_uri)
    assert threads() == []


def test_the_host_is_shown_before_the_browser_opens(sign_in: SignIn) -> None:  # FLO-7
    shown: list[list[str]] = []

    def browser(url: str) -> None:
        shown.append(list(user.progress_messages))
        browse(url)

    with ScriptedUser(browser=browser) as user:
        sign_in(interaction=user)

    assert shown == [["Signing in at id.example.com"]]


def test_redirect_host_and_path_can_be_set(sign_in: SignIn) -> None:
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, redirect_host="localhost", redirect_path="/oauth/example")

    parts = urlsplit(grant.redirect_uri)
    assert (parts.hostname, parts.path) == ("localhost", "/oauth/example")


def test_an_error_without_iss_ends_the_sign_in_although_the_server_promises_iss(server: Server) -> None:
    def decline(url: str) -> None:
        assert visit(address(url, error="access_denied", error_description="não")) == 200

    with (
        ScriptedUser(browser=decline) as user,
        raises_code(LoginRequired, "sign-in-not-completed"),
    ):
        at(evolve(server, iss_required=True), interaction=user, timeout=60)


def test_an_error_without_state_does_not_end_the_sign_in_and_the_user_is_told(sign_in: SignIn) -> None:
    def stumble(url: str) -> None:
        assert visit(parameters(url)["redirect_uri"] + "?error=access_denied") == 400
        browse(url)

    with ScriptedUser(browser=stumble) as user:
        sign_in(interaction=user)

    assert ["cancel" in notice for notice in user.notices] == [True]


def test_a_pasted_error_ends_the_sign_in(sign_in: SignIn) -> None:
    def paste(urls: Sequence[str]) -> str:
        return parameters(urls[0])["redirect_uri"] + "?error=access_denied"

    with ScriptedUser(paste=paste) as user, raises_code(LoginRequired, "sign-in-not-completed"):
        sign_in(interaction=user)


def test_the_redirect_port_can_be_set(sign_in: SignIn) -> None:
    port = free_port()
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, redirect_port=port)

    assert grant.redirect_uri == f"http://127.0.0.1:{port}/callback"


def test_two_attempts_share_nothing(sign_in: SignIn) -> None:  # FLO-1, FLO-2
    with ScriptedUser(browser=browse) as user:
        first, second = sign_in(interaction=user), sign_in(interaction=user)

    assert first.state != second.state
    assert first.pkce != second.pkce


def test_the_random_source_can_be_replaced(sign_in: SignIn) -> None:
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, random=lambda count: b"\x07" * count)

    assert grant.pkce == Pkce.create(lambda count: b"\x07" * count)


def test_unrelated_requests_do_not_end_the_attempt(sign_in: SignIn) -> None:  # FLO-2, FAULT-53
    def browser(url: str) -> None:
        statuses = [visit(address(url, code="evil", state=f"wrong{number}")) for number in range(20)]
        assert statuses == [400] * 20
        browse(url)

    with ScriptedUser(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_a_response_of_another_server_is_rejected(sign_in: SignIn) -> None:  # FLO-3, FAULT-56
    def browser(url: str) -> None:
        assert visit(address(url, code="evil", iss="https://evil.example")) == 400
        assert visit(address(url, error="access_denied", iss="https://evil.example")) == 400
        assert visit(address(url, code="from-browser", iss="https://id.example.com")) == 200

    with ScriptedUser(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_a_missing_iss_is_rejected_if_the_server_requires_it(server: Server) -> None:
    def browser(url: str) -> None:
        assert visit(address(url, code="evil")) == 400
        assert visit(address(url, code="from-browser", iss="https://id.example.com")) == 200

    with ScriptedUser(browser=browser) as user:
        grant = at(evolve(server, iss_required=True), interaction=user)
    assert grant.code == Secret("from-browser")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("access_denied", LoginRequired, "sign-in-not-completed"),
        ("invalid_scope", ProviderRefused, "sign-in-refused"),
    ],
)
def test_an_error_redirect_ends_the_attempt(
    sign_in: SignIn, error: str, kind: type[FreshkeyError], code: str
) -> None:  # FLO-12
    def browser(url: str) -> None:
        assert visit(address(url, error=error, error_description="canary")) == 200

    with ScriptedUser(browser=browser) as user, raises_code(kind, code) as caught:
        sign_in(interaction=user)
    assert error in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_flood_of_unrelated_requests_ends_the_attempt(sign_in: SignIn) -> None:
    def browser(url: str) -> None:
        for _ in range(loopback.MAX_REQUESTS):
            visit(address(url, code="evil", state="wrong"))

    with ScriptedUser(browser=browser) as user, raises_code(LoginRequired, "redirect-port-flooded"):
        sign_in(interaction=user)


# --- with a paste: FLO-9 --------------------------------------------------------------------------------------------


def shown_code(urls: Sequence[str]) -> str:
    """Return what the provider's page displays at the paste URL, which is the last URL shown."""
    asked = parameters(urls[-1])
    assert asked["redirect_uri"] == PASTE_URI
    return f"from-page#{asked['state']}"


def test_a_code_from_the_providers_page(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    with ScriptedUser(paste=shown_code) as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    assert (grant.code, grant.redirect_uri) == (Secret("from-page"), PASTE_URI)
    opened, pasted = parameters(user.urls()[0]), parameters(user.urls()[-1])
    assert opened.pop("redirect_uri") != pasted.pop("redirect_uri")
    assert opened == pasted
    assert threads() == []


def test_the_paste_prompt_warns_about_phishing(sign_in: SignIn) -> None:
    with ScriptedUser(paste=shown_code) as user:
        sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    (prompt,) = user.prompts
    assert "never into a web page" in prompt


def test_a_code_with_its_state_is_accepted_without_paste_redirect_uri(sign_in: SignIn) -> None:
    with ScriptedUser(paste=lambda urls: f"from-log#{parameters(urls[0])['state']}") as user:
        grant = sign_in(interaction=user)

    assert grant.code == Secret("from-log")
    assert grant.redirect_uri == parameters(user.opened[0])["redirect_uri"]


@pytest.mark.parametrize("paste_uri", [None, PASTE_URI])
def test_a_pasted_loopback_url_uses_the_loopback_redirect_uri(sign_in: SignIn, paste_uri: str | None) -> None:
    with ScriptedUser(paste=lambda urls: address(urls[0], code="from-bar") + "\n") as user:
        grant = sign_in(interaction=user, paste_redirect_uri=paste_uri)

    assert grant.code == Secret("from-bar")
    assert grant.redirect_uri == parameters(user.opened[0])["redirect_uri"]


def test_a_pasted_url_of_the_providers_page_uses_its_redirect_uri(sign_in: SignIn) -> None:
    with ScriptedUser(paste=lambda urls: address(urls[-1], code="from-bar")) as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    assert (grant.code, grant.redirect_uri) == (Secret("from-bar"), PASTE_URI)


def test_a_bare_code(sign_in: SignIn) -> None:
    with ScriptedUser(paste="bare") as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI, bare_code=True)

    assert (grant.code, grant.redirect_uri) == (Secret("bare"), PASTE_URI)


def test_a_wrong_paste_prompts_again(sign_in: SignIn) -> None:
    pastes = iter(["nonsense", "evil#state-of-another-attempt"])

    with ScriptedUser(paste=lambda urls: next(pastes, shown_code(urls))) as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    assert grant.code == Secret("from-page")
    assert len(user.prompts) == 3
    assert len(user.notices) == 2
    assert "nonsense" not in " ".join(user.notices)


def test_after_five_wrong_pastes_only_the_browser_can_finish(sign_in: SignIn) -> None:
    all_wrong = threading.Event()

    def browser(url: str) -> None:
        assert all_wrong.wait(10)
        browse(url)

    class Typist(ScriptedUser):
        def notice(self, message: str) -> None:
            super().notice(message)
            if len(self.notices) > signin.MAX_PASTES:
                all_wrong.set()

    with Typist(browser=browser, paste="wrong") as user:
        assert sign_in(interaction=user).code == Secret("from-browser")
    assert len(user.prompts) == signin.MAX_PASTES


def test_a_pasted_error_ends_the_attempt(sign_in: SignIn) -> None:
    paste = functools.partial(address, error="access_denied")

    with (
        ScriptedUser(paste=lambda urls: paste(urls[0])) as user,
        raises_code(LoginRequired, "sign-in-not-completed") as caught,
    ):
        sign_in(interaction=user)
    assert "access_denied" in str(caught.value)


# --- the race ------------------------------------------------------------------------------------------------------


def test_the_first_outcome_counts(pkce: Pkce) -> None:
    first = Grant(code=Secret("first"), redirect_uri="http://127.0.0.1:1/", pkce=pkce, state="s")
    race = signin._Race()

    race.enter("none", lambda: None).join()
    assert race.result() is None
    race.enter("first", lambda: first).join()
    race.enter("second", lambda: evolve(first, code=Secret("second"))).join()
    race.enter("third", lambda: (_ for _ in ()).throw(LoginRequired("too late"))).join()

    assert race.over.is_set()
    assert race.result() is first


def visit_late(url: str) -> None:
    """Send the code, unless the port is already closed because the paste was first."""
    try:
        visit(address(url, code="from-browser"))
    except OSError:
        return


def test_each_code_keeps_its_redirect_uri_however_the_race_ends(sign_in: SignIn) -> None:
    def race() -> tuple[str, str]:
        with ScriptedUser(browser=visit_late, paste=shown_code) as user:
            grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)
        return grant.code.reveal(), "page" if grant.redirect_uri == PASTE_URI else "loopback"

    with ThreadPoolExecutor(8) as pool:
        endings = set(pool.map(lambda _: race(), range(24)))

    assert endings <= {("from-page", "page"), ("from-browser", "loopback")}


def test_the_prompt_is_withdrawn_when_the_browser_wins(sign_in: SignIn) -> None:
    withdrawn = threading.Event()

    class Typist(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            prompted.set()
            if given_up.wait(10):
                withdrawn.set()
            return None

    def browser(url: str) -> None:
        assert prompted.wait(10)
        browse(url)

    prompted = threading.Event()
    with Typist(browser=browser) as user:
        sign_in(interaction=user)

    assert withdrawn.is_set()


def test_without_a_terminal_the_browser_still_works(sign_in: SignIn) -> None:
    class Typist(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            asked.set()
            raise LoginRequired("there is no terminal")

    def browser(url: str) -> None:
        assert asked.wait(10)
        browse(url)

    asked = threading.Event()
    with Typist(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_an_exception_in_the_prompt_is_raised(sign_in: SignIn) -> None:
    class Typist(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            raise UnexpectedQuestion("no paste was expected")

    with pytest.raises(UnexpectedQuestion):
        sign_in(interaction=Typist(browser=lambda url: None))


# --- no response: FAULT-54 ----------------------------------------------------------------------------------------


def test_without_a_user_the_error_names_the_login_command(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    with pytest.raises(LoginRequired) as caught:
        sign_in(interaction=NonInteractive("work"))
    assert "freshkey login work" in str(caught.value)
    assert threads() == []


@proves("FAULT-54", "FLO-4")
def test_the_attempt_ends_after_five_minutes(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    clock = ManualClock()
    opened: list[str] = []

    with ThreadPoolExecutor(1) as pool, ScriptedUser(browser=opened.append) as user:
        attempt = pool.submit(sign_in, interaction=user, clock=clock)
        assert clock.wait_until_waiting() == (300,)
        clock.advance(299)
        assert not attempt.done()
        clock.advance(1)
        with raises_code(LoginRequired, "sign-in-timed-out") as caught:
            attempt.result(10)
        assert "300 s" in str(caught.value)
        assert parameters(opened[0])["redirect_uri"] in (caught.value.hint or "")

    assert refuses(parameters(opened[0])["redirect_uri"])
    assert threads() == []


@proves("FAULT-54")
def test_an_interrupt_frees_port_and_threads(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    class Interrupted(ManualClock):
        def wait(self, event: threading.Event, timeout: float) -> bool:
            raise KeyboardInterrupt

    with ScriptedUser(browser=lambda url: None) as user, pytest.raises(KeyboardInterrupt):
        sign_in(interaction=user, clock=Interrupted())

    assert refuses(parameters(user.opened[0])["redirect_uri"])
    assert threads() == []


# --- refused before the browser opens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["http://id.example.com/a", "file:///etc/passwd", "--flag", "https://id.example.com/$(id)", "http://127.0.0.1/"],
)
def test_an_unsafe_endpoint_is_never_opened(server: Server, endpoint: str) -> None:  # FLO-7, FAULT-57
    user = ScriptedUser()

    with raises_code(ConfigurationError, "invalid-url"):
        at(evolve(server, authorization_endpoint=endpoint), interaction=user)
    assert user.opened == []


def test_a_server_without_an_authorization_endpoint(server: Server) -> None:
    user = ScriptedUser()

    with raises_code(ConfigurationError, "endpoint-missing") as caught:
        at(evolve(server, authorization_endpoint=None), interaction=user)
    assert "no authorization endpoint" in str(caught.value)
    assert user.opened == []


def test_extra_parameters_cannot_override_the_state(sign_in: SignIn) -> None:
    with raises_code(ConfigurationError, "reserved-parameter") as caught:
        sign_in(interaction=ScriptedUser(), extra={"state": "mine"})
    assert "state" in str(caught.value)


def test_no_port_is_available(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: object, port: int) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(loopback, "_listen", refuse)
    with raises_code(TransientError, "redirect-port-unavailable") as caught:
        sign_in(interaction=ScriptedUser())
    assert "Too many open files" in str(caught.value)
