"""A fork while something is being opened: the child can open it too, and does not wait for its parent's threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import rotating
from freshkey import _forksafe as module
from freshkey._forksafe import block_fork
from promises import proves


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")

SUPPORT = Path(rotating.__file__).parent

SLOW = """
import os, sys, time
if os.getpid() == int(os.environ["SLOW_PID"]):
    os.write(int(os.environ["SLOW_PIPE"]), b"x")
    time.sleep(0.5)
ready = True
"""
"""A module that loads slowly and signals when it starts, but only in the parent process."""

START = """
import os, signal, sys, threading, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)
sys.path[:0] = sys.argv[1:3]
begun, begins = os.pipe()
os.environ |= {"SLOW_PID": str(os.getpid()), "SLOW_PIPE": str(begins)}
from attrs import evolve
from freshkey import Configuration, Keeper, Profile
from freshkey._renewal.context import Runtime, build_context
from freshkey_testing import ManualClock
import example_provider
from freshkey.hooks import hookimpl

class Provider(example_provider.Provider):
    @hookimpl
    def describe(self, profile, credential):
        if {where!r} == "provider":
            import slow
            assert slow.ready  # completely imported
        return example_provider.description()

class Storing(Provider):
    @hookimpl
    def store(self):
        import slow
        assert slow.ready
        return example_provider.FakeStore()

table = {"me": {{"provider": "example"}}}
configuration = Configuration.of(table, state_dir=Path(sys.argv[1]))
"""

OPENS = {
    "provider": """
keeper = Keeper(configuration=configuration, providers={"example": Provider()})
use = lambda: keeper.describe("me")
""",
    "store": """
runtime = Runtime(providers={"example": Storing()}, clock=ManualClock(), random=lambda: 0.0)
context = build_context("me", configuration, runtime)
use = lambda: context.store
""",
    "keychain": """
from freshkey._stores.keychain import store as keyring
profile = Profile(name="me", provider="example", settings=None, state_dir=Path(sys.argv[1]),
                  store_settings={"backend": "slow_keychain.Keyring"})
use = keyring.store(profile).load
""",
}

FORK = """
thread = threading.Thread(target=use)
thread.start()
os.read(begun, 1)
child = os.fork()
if child == 0:
    signal.alarm(20)
    use()
    os._exit(0)
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

SLOW_KEYCHAIN = """
import slow
assert slow.ready
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return None
    def set_password(self, service, username, password):
        raise NotImplementedError
"""


@proves("FAULT-22", "ROT-11")
@pytest.mark.parametrize("what", OPENS)
def test_child_forked_during_an_opening_can_open_it_too(tmp_path: Path, what: str) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow_keychain.py").write_text(SLOW_KEYCHAIN)
    start = START.replace("{where!r}", repr(what)).replace("{{", "{").replace("}}", "}")
    done = subprocess.run(
        [sys.executable, "-c", start + OPENS[what] + FORK, str(tmp_path), str(SUPPORT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


LOCKED = """
import time
def slowly():
    time.sleep(3600 if os.getpid() == parent else 0)
    return example_provider.FakeStore()

class Storing(Provider):
    @hookimpl
    def store(self):
        os.write(begins, b"x")
        return slowly()

parent = os.getpid()
runtime = Runtime(providers={"example": Storing()}, clock=ManualClock(), random=lambda: 0.0)
context = build_context("me", configuration, runtime)
threading.Thread(target=lambda: context.store, daemon=True).start()
os.read(begun, 1)
started = time.monotonic()
child = os.fork()
if child == 0:
    signal.alarm(20)
    context.store
    os._exit(0)
waited = time.monotonic() - started
assert 1 < waited < 10, waited
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@proves("FAULT-22", "ROT-11")
def test_store_that_hangs_while_opening_delays_a_fork_for_two_seconds(
    tmp_path: Path,
) -> None:
    start = START.replace("{where!r}", "''").replace("{{", "{").replace("}}", "}")
    done = subprocess.run(
        [sys.executable, "-c", start + LOCKED, str(tmp_path), str(SUPPORT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_fork_does_not_wait_for_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORK_TIMEOUT", 30.0)
    started = time.monotonic()
    with block_fork():
        # Opening may itself fork: some providers start programs.
        module._before_fork()
        module._release(child=False)
    assert time.monotonic() - started < 25


def test_interrupted_fork_releases_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    held = threading.Lock()
    monkeypatch.setattr(module, "_registered", [(lambda: None, held)])
    monkeypatch.setattr(module._changed, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        module._before_fork()
    assert held.locked()
    module._release(child=False)
    assert not held.locked()


def test_opening_waits_for_a_running_fork() -> None:
    begun = threading.Event()

    def work() -> None:
        with block_fork():
            begun.set()

    module._before_fork()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert not begun.wait(0.1)
    finally:
        module._release(child=False)
    thread.join(20)
    assert begun.is_set()


FAILS = """
import os, sys, threading
from freshkey._forksafe import in_child

held, seen = threading.Lock(), []
in_child(lambda: seen.append(held.locked()), held=held)
in_child(lambda: 1 / 0)
in_child(lambda: seen.append("last"))
child = os.fork()
if child == 0:
    os._exit(0 if (seen, held.locked()) == ([True, "last"], False) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or held.locked() or bool(seen))
"""


def test_child_runs_all_callbacks_in_order_and_its_locks_are_free() -> None:
    done = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr
