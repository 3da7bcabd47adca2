"""A user who is present gets time to unlock the keychain; background calls do not wait for that."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import pytest
from attrs import evolve, frozen

import silent_keychain
from counterparts.keychain import Keychain, bus_without_keychain
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain import store as keyring_store
from freshkey._stores.keychain.prompts import user_present
from freshkey._stores.keychain.store import store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code


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


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    with bus_without_keychain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, str(SUPPORT / "prompting_keychain.py"), str(tmp_path / "answered")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SUPPORT)})
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"serves\n"
            yield Window(process, tmp_path / "answered")
        finally:
            process.kill()
            process.communicate()


def in_thread(action: Callable[[], object]) -> Future[object]:
    """Run `action` in a thread, in the context of the caller; return a future for its outcome."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(action())
        except StoreUnavailable as error:
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(run), daemon=True).start()
    return outcome


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
