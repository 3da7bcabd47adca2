"""A user who is present gets time to unlock the keychain; background calls do not wait for that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from attrs import evolve, frozen
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import Proxy, open_dbus_connection  # type: ignore[import-untyped]

import silent_keychain
from counterparts.keychain import Keychain, bus_without_keychain
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain import store as keyring_store
from freshkey._stores.keychain.dismissals import Dismissals
from freshkey._stores.keychain.prompts import background, user_present
from freshkey._stores.keychain.store import store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from in_thread import in_thread
from promises import proves
from raises_code import raises_code
from waiting import until


SUPPORT = Path(silent_keychain.__file__).parent


def test_prompt_is_expected_only_if_shown_and_user_is_present() -> None:
    assert not prompts.expected()
    with prompts.shown():
        assert not prompts.expected()
        with user_present():
            assert prompts.expected()
            with user_present(there=False):
                assert not prompts.expected()
            assert prompts.expected()
        assert not prompts.expected()
    with user_present():
        assert not prompts.expected()


def test_forked_child_forgets_the_prompt() -> None:
    with warnings.catch_warnings(), prompts.shown(), user_present():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with several threads
        child = os.fork()
        if child == 0:
            os._exit(prompts.expected())
        assert os.waitpid(child, 0)[1] == 0
        assert prompts.expected()


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own worker: some calls outlive their deadline."""
    monkeypatch.setattr(keyring_store, "_opened", {})
    monkeypatch.setattr(keyring_store, "WORKER", SerialWorker("test-keychain"))


@frozen
class Window:
    """The prompt of a locked keychain, in a separate process."""

    process: subprocess.Popen[bytes]
    answered: Path

    def opens(self) -> None:
        """Wait until it is shown."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"asks\n"

    def answer(self) -> None:
        """Type the password."""
        self.answered.touch()

    def unlock_elsewhere(self) -> None:
        """Unlock the keychain without this prompt, which stays open."""
        self.answered.with_name(f"{self.answered.name}-elsewhere").touch()


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    with bus_without_keychain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with prompting(tmp_path / "answered") as window:
            yield window


@contextmanager
def prompting(answered: Path) -> Iterator[Window]:
    """Start a keychain that prompts; it replaces the one that runs."""
    command = [sys.executable, str(SUPPORT / "prompting_keychain.py"), str(answered)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SUPPORT)})
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serves\n"
        yield Window(process, answered)
    finally:
        process.kill()
        process.communicate()


def opened(profile: Profile, timeout: float, unlock_timeout: float) -> CredentialStore:
    settings = {"timeout": timeout, "unlock_timeout": unlock_timeout}
    kept: CredentialStore = store(evolve(profile, store_settings=settings))
    return kept


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_sign_in_gives_the_user_time_to_unlock_the_keychain(profile: Profile, window: Window) -> None:
    kept = opened(profile, 0.5, 30)
    with user_present():
        outcome = in_thread(kept.load)
    window.opens()
    with pytest.raises(TimeoutError):
        outcome.exception(timeout=1)
    window.answer()

    assert outcome.result(20) == Snapshot()
    kept.probe()


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_without_a_user_the_prompt_is_not_waited_for(profile: Profile, window: Window) -> None:
    kept = opened(profile, 0.5, 30)
    started = time.monotonic()
    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        kept.load()
    assert "0.5 s" in str(caught.value)
    assert time.monotonic() - started < 25

    # While the prompt is still open, only a call with a user present waits for it.
    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        kept.load()
    assert "earlier call" in str(caught.value)
    with user_present():
        outcome = in_thread(kept.load)
    with pytest.raises(TimeoutError):
        outcome.exception(timeout=1)
    window.answer()
    assert outcome.result(20) == Snapshot()


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
@pytest.mark.usefixtures("window")
def test_unanswered_prompt_times_out(profile: Profile) -> None:
    kept = opened(profile, 0.2, 0.6)
    started = time.monotonic()
    with user_present(), raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        kept.load()

    assert "0.6 s" in str(caught.value)
    assert 0.6 <= time.monotonic() - started < 25


@pytest.mark.counterpart
@proves("FAULT-7", "STO-3")
def test_keychain_without_a_prompt_gets_no_extra_time(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    with Keychain() as keychain:
        for name, value in keychain.variables.items():
            monkeypatch.setenv(name, value)
        kept = opened(profile, 1, 30)
        started = time.monotonic()
        with user_present():
            keychain.lock()
            with raises_code(StoreUnavailable, "keychain-locked"):
                kept.load()
            keychain.unlock()
            keychain.stop()
            try:
                with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
                    kept.load()
                assert "within 1 s" in str(caught.value)
            finally:
                keychain.cont()
        assert time.monotonic() - started < 25


# --- the service ends while its prompt is open ------------------------------------------------------------------------


def idle() -> bool:
    return keyring_store.WORKER._call is None


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_prompt_ends_with_the_service_that_opened_it(profile: Profile, window: Window, tmp_path: Path) -> None:
    kept = opened(profile, 20, 30)
    outcome = in_thread(kept.load)
    window.opens()
    window.process.kill()

    with raises_code(StoreUnavailable, "keychain-restarted"):
        outcome.result(15)
    until(idle, "the keychain's thread to be free")
    with prompting(tmp_path / "again") as second:
        outcome = in_thread(kept.load)
        second.opens()
        second.answer()
        assert outcome.result(20) == Snapshot()


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_prompt_ends_if_its_service_is_replaced_and_keeps_running(
    profile: Profile, window: Window, tmp_path: Path
) -> None:
    kept = opened(profile, 20, 30)
    outcome = in_thread(kept.load)
    window.opens()
    (tmp_path / "unlocked").touch()
    with prompting(tmp_path / "unlocked"):
        with raises_code(StoreUnavailable, "keychain-restarted"):
            outcome.result(15)
        assert window.process.poll() is None
        assert in_thread(kept.load).result(20) == Snapshot()


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_call_ends_if_the_service_is_killed_before_it_responds(profile: Profile, window: Window) -> None:
    kept = opened(profile, 20, 30)
    window.answer()
    kept.probe()
    window.process.send_signal(signal.SIGSTOP)
    outcome = in_thread(kept.load)
    with pytest.raises(TimeoutError):
        outcome.exception(timeout=0.5)
    window.process.kill()

    with raises_code(StoreUnavailable, "keychain-restarted"):
        outcome.result(15)
    until(idle, "the keychain's thread to be free")


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_prompt_ends_with_the_bus(profile: Profile, window: Window) -> None:
    kept = opened(profile, 20, 30)
    outcome = in_thread(kept.load)
    window.opens()
    with open_dbus_connection(os.environ["DBUS_SESSION_BUS_ADDRESS"]) as connection:
        (bus,) = Proxy(message_bus, connection).GetConnectionUnixProcessID("org.freedesktop.DBus")
    os.kill(bus, signal.SIGKILL)

    with raises_code(StoreUnavailable, "no-keychain"):
        outcome.result(15)
    until(idle, "the keychain's thread to be free")


# --- something else unlocks the keychain while its prompt is open -----------------------------------------------------


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_prompt_is_not_waited_for_if_something_else_unlocks_the_keychain(profile: Profile, window: Window) -> None:
    kept = opened(profile, 20, 30)
    outcome = in_thread(kept.load)
    window.opens()
    window.unlock_elsewhere()

    assert outcome.result(15) == Snapshot()
    assert not list(profile.state_dir.rglob("prompt.json")), "the user dismissed nothing"


@pytest.mark.counterpart
@proves("FAULT-7", "FAULT-9", "STO-3")
def test_prompt_of_a_service_that_hangs_still_ends(
    profile: Profile, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "LOOK_INTERVAL", 0.1)
    monkeypatch.setattr(prompts, "PROMPT_TIMEOUT", 2.0)
    kept = opened(profile, 20, 30)
    outcome = in_thread(kept.load)
    window.opens()
    window.process.send_signal(signal.SIGSTOP)

    with raises_code(StoreUnavailable, "keychain-locked"):
        outcome.result(15)


# --- who may open a prompt --------------------------------------------------------------------------------------------


@pytest.mark.counterpart
@proves("FAULT-9", "STO-3")
def test_call_for_no_one_opens_no_prompt(profile: Profile, window: Window) -> None:
    kept = opened(profile, 20, 30)
    with background(), raises_code(StoreUnavailable, "keychain-locked"):
        kept.load()
    with background(), raises_code(StoreUnavailable, "keychain-locked"):
        kept.probe()

    outcome = in_thread(kept.load)
    window.opens()
    window.answer()
    assert outcome.result(20) == Snapshot()
    with background():
        assert kept.load() == Snapshot()


def test_caller_who_joins_a_call_for_no_one_may_have_the_keychain_prompt() -> None:
    asker = prompts.Asker(background=True)
    policy = prompts.Policy(asker)
    assert not policy.allows()
    asker.join(by_user=False)
    assert policy.allows()
    assert asker.since is None


def test_dismissed_prompt_is_opened_again_by_the_user_but_not_by_a_program(tmp_path: Path) -> None:
    dismissals = Dismissals(tmp_path)
    user = prompts.a_user()
    program = prompts.Policy(prompts.Asker(), dismissals)
    program.note(dismissed=True)

    with pytest.raises(prompts.PromptRefused) as caught:
        program.check()
    assert 0 < caught.value.seconds <= 30
    assert not prompts.Policy(user, dismissals).allows(), "the same command does not prompt twice"
    time.sleep(0.002)
    assert prompts.Policy(prompts.a_user(), dismissals).allows()

    program.note(dismissed=False)
    assert program.allows()


BLOCKED = """
import time
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        time.sleep(1)
    def set_password(self, service, username, password):
        raise NotImplementedError
"""


@pytest.mark.parametrize("there", [True, False])
def test_backend_that_does_not_report_prompts_gets_extra_time_if_user_is_present(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """As on macOS, where any call may show a prompt."""
    (tmp_path / "blocked.py").write_text(BLOCKED)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"timeout": 0.2, "unlock_timeout": 30, "backend": "blocked.Keyring"}
    kept = store(evolve(profile, store_settings=settings))

    with (
        user_present(there=there),
        nullcontext() if there else raises_code(StoreUnavailable, "keychain-timed-out"),
    ):
        assert kept.load() == Snapshot()
