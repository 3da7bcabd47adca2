from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from attrs import evolve

from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.interaction import NonInteractive
from freshkey.oauth import Grant, Pkce, Server, authorize, loopback, signin
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser, UnexpectedQuestion
from matrix import row


PASTE_URI = "https://console.example.com/oauth/code/callback?app=freshkey"


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def address(url: str, **answer: str) -> str:
    """The address that a server sends the browser to after the sign-in at `url`."""
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


@pytest.fixture
def sign_in(server: Server) -> SignIn:
    return functools.partial(authorize, server, client_id="me", scopes=("a", "b"))


@pytest.fixture
def threads() -> Callable[[], list[str]]:
    """Names of freshkey's own threads that the test began and that are still there."""
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in set(threading.enumerate()) - before if "freshkey" in thread.name]


# --- by browser ----------------------------------------------------------------------------------------------------


def test_the_browser_brings_the_code(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
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


def test_host_and_path_are_as_they_are_registered(sign_in: SignIn) -> None:
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, redirect_host="localhost", redirect_path="/oauth/example")

    parts = urlsplit(grant.redirect_uri)
    assert (parts.hostname, parts.path) == ("localhost", "/oauth/example")


def test_two_attempts_share_nothing(sign_in: SignIn) -> None:  # FLO-1, FLO-2
    with ScriptedUser(browser=browse) as user:
        first, second = sign_in(interaction=user), sign_in(interaction=user)

    assert first.state != second.state
    assert first.pkce != second.pkce


def test_randomness_is_an_argument(sign_in: SignIn) -> None:
    with ScriptedUser(browser=browse) as user:
        grant = sign_in(interaction=user, random=lambda count: b"\x07" * count)

    assert grant.pkce == Pkce.create(lambda count: b"\x07" * count)


def test_strangers_do_not_disturb(sign_in: SignIn) -> None:  # FLO-2, row 53
    def browser(url: str) -> None:
        statuses = [visit(address(url, code="evil", state=f"wrong{number}")) for number in range(20)]
        assert statuses == [400] * 20
        browse(url)

    with ScriptedUser(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_the_answer_of_another_server_is_none(sign_in: SignIn) -> None:  # FLO-3, row 56
    def browser(url: str) -> None:
        assert visit(address(url, code="evil", iss="https://evil.example")) == 400
        assert visit(address(url, error="access_denied", iss="https://evil.example")) == 400
        assert visit(address(url, code="from-browser", iss="https://id.example.com")) == 200

    with ScriptedUser(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_a_server_that_names_itself_must_do_so(server: Server) -> None:
    def browser(url: str) -> None:
        assert visit(address(url, code="evil")) == 400
        assert visit(address(url, code="from-browser", iss="https://id.example.com")) == 200

    with ScriptedUser(browser=browser) as user:
        grant = authorize(evolve(server, iss_required=True), client_id="me", scopes=(), interaction=user)
    assert grant.code == Secret("from-browser")


@pytest.mark.parametrize(("error", "kind"), [("access_denied", LoginRequired), ("invalid_scope", ProviderRefused)])
def test_the_server_may_say_no(sign_in: SignIn, error: str, kind: type[Exception]) -> None:  # FLO-12
    def browser(url: str) -> None:
        assert visit(address(url, error=error, error_description="canary")) == 200

    with ScriptedUser(browser=browser) as user, pytest.raises(kind, match=error) as caught:
        sign_in(interaction=user)
    assert "canary" not in str(caught.value)


def test_a_flood_ends_the_attempt(sign_in: SignIn) -> None:
    def browser(url: str) -> None:
        for _ in range(loopback.MAX_REQUESTS):
            visit(address(url, code="evil", state="wrong"))

    with ScriptedUser(browser=browser) as user, pytest.raises(LoginRequired, match="64 requests"):
        sign_in(interaction=user)


# --- by paste: FLO-9 ------------------------------------------------------------------------------------------------


def shown_code(urls: Sequence[str]) -> str:
    """What the provider's page shows at the paste URL, which is the last of the URLs shown."""
    asked = parameters(urls[-1])
    assert asked["redirect_uri"] == PASTE_URI
    return f"from-page#{asked['state']}"


def test_the_providers_page_shows_a_code(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    with ScriptedUser(paste=shown_code) as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    assert (grant.code, grant.redirect_uri) == (Secret("from-page"), PASTE_URI)
    opened, pasted = parameters(user.urls()[0]), parameters(user.urls()[-1])
    assert opened.pop("redirect_uri") != pasted.pop("redirect_uri")
    assert opened == pasted
    assert threads() == []


def test_the_prompt_warns(sign_in: SignIn) -> None:
    with ScriptedUser(paste=shown_code) as user:
        sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    (prompt,) = user.prompts
    assert "never into a web page" in prompt


def test_a_code_with_its_state_is_taken_without_a_page_of_the_provider_too(sign_in: SignIn) -> None:
    with ScriptedUser(paste=lambda urls: f"from-log#{parameters(urls[0])['state']}") as user:
        grant = sign_in(interaction=user)

    assert grant.code == Secret("from-log")
    assert grant.redirect_uri == parameters(user.opened[0])["redirect_uri"]


@pytest.mark.parametrize("paste_uri", [None, PASTE_URI])
def test_the_address_the_browser_ended_at_belongs_to_the_loopback_redirect(
    sign_in: SignIn, paste_uri: str | None
) -> None:
    with ScriptedUser(paste=lambda urls: address(urls[0], code="from-bar") + "\n") as user:
        grant = sign_in(interaction=user, paste_redirect_uri=paste_uri)

    assert grant.code == Secret("from-bar")
    assert grant.redirect_uri == parameters(user.opened[0])["redirect_uri"]


def test_the_address_of_the_providers_page_belongs_to_that_page(sign_in: SignIn) -> None:
    with ScriptedUser(paste=lambda urls: address(urls[-1], code="from-bar")) as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)

    assert (grant.code, grant.redirect_uri) == (Secret("from-bar"), PASTE_URI)


def test_a_bare_code_where_the_provider_shows_nothing_else(sign_in: SignIn) -> None:
    with ScriptedUser(paste="bare") as user:
        grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI, bare_code=True)

    assert (grant.code, grant.redirect_uri) == (Secret("bare"), PASTE_URI)


def test_a_wrong_paste_is_asked_for_again(sign_in: SignIn) -> None:
    pastes = iter(["nonsense", "evil#state-of-somebody-else"])

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

    class Person(ScriptedUser):
        def notice(self, message: str) -> None:
            super().notice(message)
            if message.startswith("Nothing more"):
                all_wrong.set()

    with Person(browser=browser, paste="wrong") as user:
        assert sign_in(interaction=user).code == Secret("from-browser")
    assert len(user.prompts) == signin.MAX_PASTES


def test_a_pasted_refusal_ends_the_attempt(sign_in: SignIn) -> None:
    paste = functools.partial(address, error="access_denied")

    with (
        ScriptedUser(paste=lambda urls: paste(urls[0])) as user,
        pytest.raises(LoginRequired, match="access_denied"),
    ):
        sign_in(interaction=user)


# --- the race ------------------------------------------------------------------------------------------------------


def test_the_first_outcome_stays(pkce: Pkce) -> None:
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
    """Bring the code, unless the port is closed already because the paste was first."""
    try:
        visit(address(url, code="from-browser"))
    except OSError:
        return


def test_each_code_keeps_its_own_redirect_however_the_race_ends(sign_in: SignIn) -> None:
    def race() -> tuple[str, str]:
        with ScriptedUser(browser=visit_late, paste=shown_code) as user:
            grant = sign_in(interaction=user, paste_redirect_uri=PASTE_URI)
        return grant.code.reveal(), "page" if grant.redirect_uri == PASTE_URI else "loopback"

    with ThreadPoolExecutor(8) as pool:
        endings = set(pool.map(lambda _: race(), range(24)))

    assert endings <= {("from-page", "page"), ("from-browser", "loopback")}


def test_the_prompt_is_taken_back_when_the_browser_wins(sign_in: SignIn) -> None:
    taken_back = threading.Event()

    class Person(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            prompted.set()
            if given_up.wait(10):
                taken_back.set()
            return None

    def browser(url: str) -> None:
        assert prompted.wait(10)
        browse(url)

    prompted = threading.Event()
    with Person(browser=browser) as user:
        sign_in(interaction=user)

    assert taken_back.is_set()


def test_a_person_who_cannot_paste_can_still_use_the_browser(sign_in: SignIn) -> None:
    class Person(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            asked.set()
            raise LoginRequired("there is no terminal")

    def browser(url: str) -> None:
        assert asked.wait(10)
        browse(url)

    asked = threading.Event()
    with Person(browser=browser) as user:
        assert sign_in(interaction=user).code == Secret("from-browser")


def test_what_breaks_in_the_prompt_is_not_swallowed(sign_in: SignIn) -> None:
    class Person(ScriptedUser):
        def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
            raise UnexpectedQuestion("no paste was expected")

    with pytest.raises(UnexpectedQuestion):
        sign_in(interaction=Person(browser=lambda url: None))


# --- when nothing comes: row 54 -----------------------------------------------------------------------------------


def test_nobody_is_there(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    with pytest.raises(LoginRequired, match="freshkey login work"):
        sign_in(interaction=NonInteractive("work"))
    assert threads() == []


@row(54, "FLO-4")
def test_the_attempt_ends_after_five_minutes(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    clock = ManualClock()
    opened: list[str] = []

    with ThreadPoolExecutor(1) as pool, ScriptedUser(browser=opened.append) as user:
        attempt = pool.submit(sign_in, interaction=user, clock=clock)
        assert clock.wait_until_waiting() == (300,)
        clock.advance(299)
        assert not attempt.done()
        clock.advance(1)
        with pytest.raises(LoginRequired, match="within 300 seconds"):
            attempt.result(10)

    assert refuses(parameters(opened[0])["redirect_uri"])
    assert threads() == []


@row(54)
def test_an_interrupt_frees_everything(sign_in: SignIn, threads: Callable[[], list[str]]) -> None:
    class Interrupted(ManualClock):
        def wait(self, event: threading.Event, timeout: float) -> bool:
            raise KeyboardInterrupt

    with ScriptedUser(browser=lambda url: None) as user, pytest.raises(KeyboardInterrupt):
        sign_in(interaction=user, clock=Interrupted())

    assert refuses(parameters(user.opened[0])["redirect_uri"])
    assert threads() == []


# --- what is refused before anybody is asked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["http://id.example.com/a", "file:///etc/passwd", "--flag", "https://id.example.com/$(id)", "http://127.0.0.1/"],
)
def test_an_unsafe_endpoint_is_never_opened(server: Server, endpoint: str) -> None:  # FLO-7, row 57
    user = ScriptedUser()

    with pytest.raises(ConfigurationError):
        authorize(evolve(server, authorization_endpoint=endpoint), client_id="me", scopes=(), interaction=user)
    assert user.opened == []


def test_extra_parameters_cannot_replace_the_state(sign_in: SignIn) -> None:
    with pytest.raises(ConfigurationError, match="state"):
        sign_in(interaction=ScriptedUser(), extra={"state": "mine"})


def test_no_port(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: object, port: int) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(loopback, "_listen", refuse)
    with pytest.raises(TransientError, match="Too many open files"):
        sign_in(interaction=ScriptedUser())
