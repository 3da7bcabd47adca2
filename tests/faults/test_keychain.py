"""A keychain that is missing, locked, halted, killed or replaced, or that shows a prompt that is never answered."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from counterparts.keychain import Keychain, bus_without_keychain
from freshkey import Configuration, Keeper, _failpoints
from freshkey._files.private import file_name
from freshkey._interprocess.lock import ProfileLock
from freshkey._renewal import persist
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import ConfigurationError, StoreBusy, StoreUnavailable
from freshkey.events import Event, RenewalFailed, Unsaved
from freshkey.model.credential import Credential
from freshkey.model.profile import Profile
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from home import Home
from in_thread import in_thread
from promises import proves
from prompter import Prompter, prompter
from raises_code import raises_code
from rotating import token_of
from waiting import leaving_nothing, until


pytestmark = pytest.mark.counterpart

RENEWAL = "grant.refresh_token"
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keychain]:
    with Keychain() as found:
        for name, value in found.variables.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own keychain thread: some tests leave theirs in a call that never returns."""
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    monkeypatch.setattr(keychain_store, "_opened", {})


@pytest.fixture
def keeper(server: AuthorizationServer, tmp_path: Path) -> Iterator[Keeper]:
    with a_keeper(server, tmp_path) as found:
        yield found


def a_keeper(server: AuthorizationServer, tmp_path: Path, **options: object) -> Keeper:
    """Return a keeper whose profile ``me`` is stored in the keychain."""
    configuration = Configuration.of(
        {"me": {**server.settings(), "provider": "claude_oauth", "store": "keyring"}},
        state_dir=tmp_path / "state",
        default="me",
        stores={"keyring": options},
    )
    return Keeper(configuration=configuration)


def sign_in(keeper: Keeper) -> Credential:
    return keeper.login(interaction=ScriptedUser(browser=follow, confirm=True))


# --- missing, or fake -------------------------------------------------------------------------------------------------


@pytest.fixture
def user(server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A user on a machine without a session bus, whose browser leaves a trace."""
    for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n", "ascii")
    browser.chmod(0o700)
    home = Home(tmp_path, "keyring")
    home.variables = {
        "HOME": str(tmp_path),
        "BROWSER": str(browser),
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }
    home.configure(**server.settings())
    return home


@proves("FAULT-1", "STO-1")
@pytest.mark.parametrize("address", [None, "", "unix:path=/nowhere/bus"])
def test_without_a_keychain_no_browser_is_opened(user: Home, server: AuthorizationServer, address: str | None) -> None:
    bus = {} if address is None else {"DBUS_SESSION_BUS_ADDRESS": address}

    done = user.freshkey("login", **bus)

    assert done.returncode == 4, done.stderr
    assert "[no-keychain]" in done.stderr
    assert 'store = "file"' in done.stderr
    assert not (user.root / "opened").exists()
    assert server.requests == []


@proves("FAULT-1")
@pytest.mark.parametrize("address", [None, "unix:path=/nowhere/bus"])
def test_without_a_keychain_another_tools_credentials_are_used(user: Home, address: str | None) -> None:
    bus = {} if address is None else {"DBUS_SESSION_BUS_ADDRESS": address}
    (user.root / ".aws").mkdir()
    key = "[default]\naws_access_key_id = AKIAABCDEFGHIJKLMNOP\naws_secret_access_key = of-the-default-profile\n"
    (user.root / ".aws/credentials").write_text(key + "region = us-east-1\n")

    for words in ("refresh bedrock", "export bedrock", "explain bedrock", "logout bedrock", "exec bedrock -- true"):
        done = user.freshkey(*words.split(), **bus)
        assert done.returncode == 0, done.stderr
        assert "the keychain" not in done.stderr
    assert "available" in user.freshkey("status", "bedrock", **bus).stdout


@pytest.mark.parametrize("provider", ["claude_oauth", "bedrock", "vertex"])
def test_without_a_keychain_and_credentials_the_sources_are_named(user: Home, provider: str) -> None:
    done = user.freshkey("token", provider)

    assert done.returncode == 3, done.stderr
    assert "[no-credential-found]. Provide one of these: " in done.stderr
    assert 'store = "file"' in done.stderr


ALTERNATIVE = """
import pathlib
from keyring.backend import KeyringBackend

pathlib.Path(__file__).with_name("imported").touch()

class PlaintextKeyring(KeyringBackend):
    priority = 9
    def get_password(self, service, username): return None
    def set_password(self, service, username, password): pathlib.Path(__file__).with_name("kept").write_text(password)
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder of installed packages with a stand-in for keyrings.alt, registered like the real package."""
    folder = tmp_path / "installed"
    (folder / "keyrings" / "alt").mkdir(parents=True)
    (folder / "keyrings" / "alt" / "file.py").write_text(ALTERNATIVE, "ascii")
    metadata = folder / "keyrings.alt-5.0.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5.0.2\n", "ascii")
    (metadata / "entry_points.txt").write_text("[keyring.backends]\nalt = keyrings.alt.file\n", "ascii")
    return folder


@proves("FAULT-2", "STO-1")
def test_installed_plaintext_keyring_backends_are_never_used(user: Home, plugins: Path) -> None:
    done = user.freshkey("login", PYTHONPATH=str(plugins))

    assert done.returncode == 4, done.stderr
    assert not list(plugins.rglob("imported"))
    # What keyring itself would do:
    subprocess.run(
        [sys.executable, "-c", "import keyring; keyring.set_password('a', 'b', 'c')"],
        env={**user.environment, "PYTHONPATH": str(plugins)},
        check=True,
    )
    assert len([*plugins.rglob("imported"), *plugins.rglob("kept")]) == 2


SAVE = """
import sys
from pathlib import Path
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from freshkey._stores.keychain.store import store

kept = store(Profile(name="me", provider="x", settings=None, state_dir=Path(sys.argv[1])))
kept.probe()
kept.save(Record(generation=1, payload=Secret("secret"), written_at=1.0))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"hijack"}))
"""

COUNT = """
import secretstorage
bus = secretstorage.dbus_init()
found = secretstorage.get_default_collection(bus).get_all_items()
print(sum(item.get_attributes()["service"].startswith("freshkey:") for item in found))
"""


@proves("FAULT-3", "STO-2")
@pytest.mark.parametrize("way", ["variable", "file", "property"])
def test_environment_cannot_replace_a_real_keychain(
    keychain: Keychain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (tmp_path / "hijack.py").write_text(ALTERNATIVE.replace("PlaintextKeyring", "Keyring"), "ascii")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environment = keychain.environment
    if way == "variable":
        environment["PYTHON_KEYRING_BACKEND"] = "hijack.Keyring"
    elif way == "file":
        settings = Path(environment["XDG_CONFIG_HOME"]) / "python_keyring"
        settings.mkdir()
        (settings / "keyringrc.cfg").write_text("[backend]\ndefault-keyring=hijack.Keyring\n", "ascii")
    else:
        environment["KEYRING_PROPERTY_PREFERRED_COLLECTION"] = "/org/freedesktop/secrets/collection/session"
        environment["KEYRING_PROPERTY_SCHEME"] = "KeePassXC"

    done = run([sys.executable, "-c", SAVE, str(tmp_path / "state")], environment)

    assert done.stdout == "[]\n", done.stderr
    assert not (tmp_path / "imported").exists()
    assert keychain.run(["-c", COUNT]).stdout == "1\n"


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@proves("FAULT-4", "STO-1", "STO-2")
@pytest.mark.parametrize(
    "backend",
    ["", "keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "keyring.backends.chainer.ChainerBackend"],
)
def test_backends_that_store_nothing_are_ignored_in_the_environment(
    keychain: Keychain, tmp_path: Path, backend: str
) -> None:
    environment = {**keychain.environment, "PYTHON_KEYRING_BACKEND": backend}

    done = run([sys.executable, "-c", SAVE, str(tmp_path / "state")], environment)

    assert done.returncode == 0, done.stderr
    assert keychain.run(["-c", COUNT]).stdout == "1\n"


@proves("FAULT-4", "STO-1")
@pytest.mark.parametrize("backend", ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring"])
def test_backends_that_store_nothing_are_refused_in_the_configuration_before_the_sign_in(
    server: AuthorizationServer, tmp_path: Path, backend: str
) -> None:
    user = ScriptedUser()
    with a_keeper(server, tmp_path, backend=backend) as keeper:
        with raises_code(ConfigurationError, "unsafe-keychain-backend") as caught:
            keeper.login(interaction=user)
        assert backend in str(caught.value)
        assert user.opened == []


# --- locked -----------------------------------------------------------------------------------------------------------


@proves("FAULT-5", "STO-3")
def test_keychain_locked_at_startup_is_reported_at_once_without_a_request(
    keychain: Keychain, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    sign_in(keeper)
    asked = len(server.requests)
    keychain.lock()
    with a_keeper(server, tmp_path) as later:
        began = time.monotonic()
        with raises_code(StoreUnavailable, "keychain-locked") as caught:
            later.get()
        assert caught.value.profile == "me"
        assert time.monotonic() - began < 40
        assert len(server.requests) == asked
        keychain.unlock()
        until(lambda: works(later), "the keychain to be read again")
        assert token_of(keeper.get()) == token_of(later.get())


@proves("FAULT-5", "STO-3", "LEK-6")
def test_locked_keychain_is_exit_code_4_for_scripts(
    keychain: Keychain, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    sign_in(keeper)
    asked = len(server.requests)
    home = Home(tmp_path, "keyring", {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config")})
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    home.configure(**server.settings())
    keychain.lock()

    done = run([sys.executable, "-m", "freshkey", "token"], {**keychain.environment, **home.variables})

    assert done.returncode == 4, done.stderr
    assert "[keychain-locked]" in done.stderr
    assert done.stdout == ""
    assert len(server.requests) == asked


# --- windows that ask for its password --------------------------------------------------------------------------------


@pytest.fixture
def closing(keychain: Keychain) -> Iterator[Prompter]:
    """A user who closes each window of the keychain."""
    with prompter(keychain.variables["DBUS_SESSION_BUS_ADDRESS"], closes=True) as found:
        yield found


@pytest.fixture
def silent(keychain: Keychain) -> Iterator[Prompter]:
    """A user who does not answer the windows of the keychain."""
    with prompter(keychain.variables["DBUS_SESSION_BUS_ADDRESS"], closes=False) as found:
        yield found


@proves("FAULT-5", "STO-3")
def test_locked_keychain_shows_a_window_only_to_callers_who_have_no_credential(
    keychain: Keychain, closing: Prompter, keeper: Keeper, server: AuthorizationServer
) -> None:
    server.policy.lifetime = 5.0
    held = sign_in(keeper)
    events: list[Event] = []
    keeper.subscribe(events.append)
    keychain.lock()

    def failures() -> list[RenewalFailed]:
        return [event for event in events if isinstance(event, RenewalFailed)]

    until(failures, "the timer to find the keychain locked")
    assert token_of(keeper.get()) == token_of(held)
    until(lambda: len(failures()) > 1, "another attempt")
    assert [event.code for event in failures()] == ["keychain-locked"] * len(failures())
    assert closing.windows == 0
    assert server.count(RENEWAL) == 0

    until(lambda: held.expires_at is not None and held.expires_at < datetime.now(UTC), "its end")
    for _ in range(3):
        with raises_code(StoreUnavailable, "keychain-locked") as caught:
            keeper.get()
        until(lambda: keeper._open_profile("me")._future is None)
        keeper._open_profile("me")._failure = None
    assert closing.windows == 1
    assert "its prompt ended without a password" in str(caught.value)

    with raises_code(StoreUnavailable, "keychain-locked"):
        keeper.refresh()
    assert closing.windows == 2, "the user asked"


@proves("FAULT-5", "STO-3")
def test_dismissed_window_is_not_opened_again_by_another_program(
    keychain: Keychain, closing: Prompter, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    sign_in(keeper)
    home = Home(tmp_path, "keyring", {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config")})
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    home.configure(**server.settings())
    keychain.lock()
    for _ in range(3):
        done = run([sys.executable, "-m", "freshkey", "token"], {**keychain.environment, **home.variables})
        assert "[keychain-locked]" in done.stderr
    assert closing.windows == 1


@proves("FAULT-8", "FAULT-9", "STO-3")
def test_keychain_that_dies_while_its_window_is_open_is_found_again(
    keychain: Keychain, silent: Prompter, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    signed_in = sign_in(keeper)
    keychain.lock()
    with a_keeper(server, tmp_path, timeout=20.0) as later:
        outcome = in_thread(later.get)
        until(lambda: silent.windows, "the window")
        keychain.kill()
        with raises_code(StoreUnavailable, "keychain-restarted"):
            outcome.result(15)
        keychain.unlock()
        until(lambda: works(later), "the restarted keychain to be read")
        assert token_of(later.get()) == token_of(signed_in)


@proves("FAULT-5", "FAULT-9", "STO-3")
def test_keychain_that_something_else_unlocks_while_its_window_is_open_is_used(
    keychain: Keychain, silent: Prompter, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    signed_in = sign_in(keeper)
    keychain.lock()
    with a_keeper(server, tmp_path, timeout=20.0) as later:
        outcome = in_thread(later.get)
        until(lambda: silent.windows, "the window")
        keychain.unlock()
        outcome.result(15)
        assert token_of(later.get()) == token_of(signed_in)


@proves("FAULT-6", "FAULT-8", "ROT-4")
def test_renewal_is_saved_when_a_keychain_that_died_is_back(
    keychain: Keychain, silent: Prompter, keeper: Keeper, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.policy.lifetime = 5.0
    sign_in(keeper)
    server.policy.lifetime = 3600.0
    monkeypatch.setattr(_failpoints, "at", once("after_refresh", keychain.kill))
    monkeypatch.setattr(persist, "MAX_PAUSE", 0.2)
    until(lambda: server.count(RENEWAL), "the timer's renewal")
    time.sleep(1)
    keychain.unlock()

    def saved() -> bool:
        with a_keeper(server, keeper.configuration.state_dir.parent) as other:
            return other.status().generation == 2

    until(saved, "the saved renewal")
    assert silent.windows == 0
    assert server.count(RENEWAL) == 1


def works(keeper: Keeper) -> bool:
    try:
        keeper.get()
    except StoreUnavailable:
        return False
    return True


@proves("FAULT-6", "ROT-4")
def test_renewal_that_a_locked_keychain_cannot_store_is_used_reported_and_saved_later(
    keychain: Keychain, keeper: Keeper, server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(keeper)
    monkeypatch.setattr(persist, "SAVE_TIMEOUT", 0.5)
    monkeypatch.setattr(persist, "MAX_PAUSE", 0.2)
    monkeypatch.setattr(_failpoints, "at", once("after_refresh", keychain.lock))
    events: list[Event] = []
    keeper.subscribe(events.append)

    served = keeper.refresh()

    until(lambda: any(isinstance(event, Unsaved) for event in events), "the event that nothing is saved")
    lock = ProfileLock(tmp_path / "state", file_name("me"))
    with raises_code(StoreBusy, "store-busy") as caught:
        lock.acquire(0.05)
    assert str(os.getpid()) in str(caught.value)
    assert server.count(RENEWAL) == 1
    keychain.unlock()
    lock.acquire(20)()
    with a_keeper(server, tmp_path) as other:
        assert token_of(other.get()) == token_of(served)
        assert other.status().generation == 2
    assert server.count(RENEWAL) == 1


def once(point: str, action: Callable[[], None]) -> Callable[[str], None]:
    left = [action]
    return lambda passed: left.pop()() if passed == point and left else None


LEAVING = """
import os, sys
from counterparts.secret_service import SecretService
from freshkey import _failpoints
from freshkey._renewal import persist
from freshkey_cli import main

persist.SAVE_TIMEOUT = 1.0
service = SecretService(os.environ["DBUS_SESSION_BUS_ADDRESS"])
_failpoints.at = lambda point: service.lock() if point == "after_refresh" else None
sys.exit(main(["refresh"]))
"""


@proves("FAULT-6", "ROT-4", "ROT-10")
def test_program_that_ends_while_the_keychain_is_locked_reports_what_is_lost(
    keychain: Keychain, server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path) as keeper:
        sign_in(keeper)
    home = Home(tmp_path, "keyring", {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config")})
    home.configure(**server.settings())
    places = {"FRESHKEY_STATE_DIR": str(tmp_path / "state"), "PYTHONPATH": str(SUPPORT)}

    began = time.monotonic()
    done = run([sys.executable, "-c", LEAVING], {**keychain.environment, **home.variables, **places})

    assert time.monotonic() - began < 60
    assert done.stderr.count("the keychain is locked") >= 2, "not stored yet, and lost at the end"
    assert "is lost" in done.stderr
    assert server.count(RENEWAL) == 1
    keychain.unlock()
    with a_keeper(server, tmp_path) as keeper:
        assert keeper.status().generation == 1


@proves("FAULT-8", "STO-3")
@pytest.mark.timeout(600)
def test_thousand_reads_of_a_locked_keychain_leak_no_file_descriptors(keychain: Keychain, tmp_path: Path) -> None:
    kept = keychain_store.store(Profile(name="me", provider="x", settings=None, state_dir=tmp_path))
    kept.probe()
    keychain.lock()
    with pytest.raises(StoreUnavailable):
        kept.load()
    with leaving_nothing():
        for _ in range(1000):
            with raises_code(StoreUnavailable, "keychain-locked"):
                kept.load()


# --- halted, killed, silent -------------------------------------------------------------------------------------------


def slowest(keeper: Keeper) -> float:
    """Return the duration of the slowest of many calls of `Keeper.get`, in seconds."""
    spent = []
    for _ in range(2_000):
        began = time.perf_counter()
        keeper.get()
        spent.append(time.perf_counter() - began)
    return max(spent)


@proves("FAULT-7", "STO-3", "ROT-8")
def test_halted_keychain_delays_only_callers_without_a_credential(
    keychain: Keychain, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    held = sign_in(keeper)
    with a_keeper(server, tmp_path) as later:
        keychain.stop()
        try:
            # The renewal hangs in the keychain while others call get().
            keeper._open_profile("me").get(by_user=True)
            assert slowest(keeper) < 2, "a caller that waits for the keychain waits for three seconds"
            assert token_of(keeper.get()) == token_of(held)
            began = time.monotonic()
            with raises_code(StoreUnavailable, "keychain-timed-out"):
                later.get()
            assert time.monotonic() - began < 40
            assert server.count(RENEWAL) == 0
        finally:
            keychain.cont()
        until(lambda: works(later), "the keychain to be read again")


@proves("FAULT-8", "STO-3")
def test_killed_keychain_is_found_again_and_leaks_no_file_descriptors(
    keychain: Keychain, keeper: Keeper, server: AuthorizationServer, tmp_path: Path
) -> None:
    signed_in = sign_in(keeper)
    kept = keychain_store.store(keeper._open_profile("me").context.profile)
    keychain.kill()
    with raises_code(StoreUnavailable, "keychain-locked"):
        kept.load()

    def answers() -> bool:
        with suppress(StoreUnavailable):
            return kept.load().generation == 1
        return False

    with leaving_nothing():
        for _ in range(200):
            with raises_code(StoreUnavailable, "keychain-locked"):
                kept.load()
        keychain.unlock()
        until(answers, "a response of the restarted keychain")
        for _ in range(200):
            assert kept.load().generation == 1
    assert token_of(keeper.get()) == token_of(signed_in)


@pytest.fixture
def prompting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A locked keychain whose prompt is never answered, in a separate process."""
    with bus_without_keychain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        process = subprocess.Popen([sys.executable, SUPPORT / "silent_keychain.py"], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"serves\n"
            yield
        finally:
            process.kill()
            process.communicate()


@proves("FAULT-9", "STO-3")
@pytest.mark.usefixtures("prompting")
def test_unanswered_prompt_costs_one_thread_and_three_seconds_once(tmp_path: Path) -> None:
    kept = keychain_store.store(Profile(name="me", provider="x", settings=None, state_dir=tmp_path))
    began = time.monotonic()
    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        kept.load()
    assert "3 s" in str(caught.value)
    assert 2.9 < time.monotonic() - began < 40

    with leaving_nothing():
        for _ in range(50):
            with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
                kept.load()
            assert "earlier call" in caught.value.message

    assert time.monotonic() - began < 40


@proves("FAULT-9", "STO-3")
@pytest.mark.usefixtures("prompting")
def test_unanswered_prompt_is_dismissed_and_the_keychain_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "PROMPT_TIMEOUT", 0.3)
    kept = keychain_store.store(Profile(name="me", provider="x", settings=None, state_dir=tmp_path))
    with raises_code(StoreUnavailable, "keychain-locked"):
        kept.load()
    with leaving_nothing():
        for _ in range(5):
            with raises_code(StoreUnavailable, "keychain-locked"):
                kept.load()
