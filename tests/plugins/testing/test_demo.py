"""`freshkey demo` with a keychain, with a file, on a terminal, interrupted, and without its provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

import freshkey_cli
from cli_doubles import FakeKeeper
from freshkey import Keeper, admin
from freshkey._stores.keychain.store import KeyringItems
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import StoreUnavailable, TransientError
from freshkey.secret import Secret
from freshkey_cli.output import Output
from freshkey_testing import AuthorizationServer
from freshkey_testing.demo import acts, stage, view
from freshkey_testing.demo.stage import Stage
from raises_code import raises_code
from typist import Typist


DEMO = [sys.executable, "-m", "freshkey", "demo"]


def environ(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Return an environment without a keychain, and with its own directory for temporary files."""
    without = ("DBUS_", "FRESHKEY_", "XDG_RUNTIME_DIR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    return kept | {"TMPDIR": str(tmp_path), "ANTHROPIC_API_KEY": "sk-not-used-by-the-demo"} | changes


def run_demo(env: Mapping[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *argv], env=env, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.counterpart
def test_demo_with_a_keychain_shows_everything_and_leaves_nothing(tmp_path: Path) -> None:
    from counterparts.keychain import Keychain

    listing = (
        "import secretstorage as s; bus = s.dbus_init();"
        "print([item.get_label() for c in s.get_all_collections(bus) for item in c.get_all_items()])"
    )
    with Keychain() as keychain:
        began = time.monotonic()
        done = run_demo(environ(tmp_path) | keychain.variables)
        took = time.monotonic() - began
        kept = keychain.run(["-c", listing])

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert took < 60
    lines = done.stdout.splitlines()
    assert any(line.startswith("Store: ") and "keychain" in line for line in lines)
    assert lines[-1].startswith("store: keyring | renewals: 3 | second process: same token | sign-out: revoked")
    assert lines[-1].endswith("old refresh token: refused (invalid_grant)")
    assert "\x1b" not in done.stdout
    assert "canary" not in done.stdout
    assert kept.stdout == "[]\n", kept.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_demo_on_a_terminal_counts_down_and_can_be_interrupted(tmp_path: Path) -> None:
    with Typist(DEMO, environ(tmp_path, TERM="xterm")) as user:
        user.read_until("s left")
        user.read_until("\x1b[2K")
        user.interrupt()

        assert user.end() == 130
        assert user.as_before
        assert "an encrypted file in" in user.screen
        assert "Traceback" not in user.screen
    assert list(tmp_path.iterdir()) == []


def test_demo_with_json_prints_one_object(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Runs in this process, with short-lived tokens and no keychain."""

    def no_keychain(*_: object) -> None:
        raise StoreUnavailable("no keychain", code="no-keychain")

    monkeypatch.setattr(KeyringItems, "set", no_keychain)
    monkeypatch.setattr(stage, "LIFETIME", 10 if sys.platform == "win32" else 3)  # a process starts slowly in Wine
    code = freshkey_cli.run(["demo", "--json"])
    out, err = capfd.readouterr()

    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "store": "file",
        "signed_in_as": "ada@example.com",
        "renewals": 3,
        "second_process_same_token": True,
        "revoked": True,
        "old_refresh_token": "refused (invalid_grant)",
    }


def test_demo_without_its_provider_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admin, "find", tuple)
    code = freshkey_cli.run(["demo"])
    out, err = capfd.readouterr()

    assert (code, out) == (6, "")
    assert "[missing-package]" in err
    assert "pip install freshkey-claude-oauth" in err


# --- parts of the demo ------------------------------------------------------------------------------------------------


class StringItems:
    """Items in memory."""

    name = "strings"
    item_limit = 40

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def set(self, name: str, value: str) -> None:
        self.kept[name] = value

    def delete(self, name: str) -> None:
        self.kept.pop(name, None)


def test_forget_also_removes_the_tombstone() -> None:
    items = StringItems()
    items.kept = {"0.0": "a", "0.1": "b", "0.2": "c", "1.0": "d", "probe-1": "e"}
    store = SlottedStore(items, lock=None)  # type: ignore[arg-type]  # never acquired here
    store.forget()

    assert items.kept == {"probe-1": "e"}


def test_plain_countdown_prints_a_line_per_renewal_and_every_two_seconds() -> None:
    lines: list[str] = []
    count = view._PlainCountdown(lines.append)
    for left, renewals in [(10, 0), (9.5, 0), (8, 0), (6.5, 0), (9.9, 1), (9, 1), (7.9, 1)]:
        count(left, "…abcd", renewals)

    assert lines == [
        "  10.0 s left  token …abcd  renewals 0",
        "   8.0 s left  token …abcd  renewals 0",
        "   9.9 s left  token …abcd  renewals 1",
        "   7.9 s left  token …abcd  renewals 1",
    ]


def test_bar_is_full_at_first_and_empty_at_the_end() -> None:
    assert view._bar(10, 10, "…abcd", 0).startswith("  ####################  10.0 s left")
    assert view._bar(5, 10, "…abcd", 0).startswith("  ##########..........")
    assert view._bar(0, 10, "…abcd", 2).endswith("....................   0.0 s left  token …abcd  renewals 2")


def test_only_the_end_of_a_token_is_shown_and_nothing_of_a_short_one() -> None:
    assert view.ending(Secret("x" * 30 + "abcd")) == "…abcd"
    assert view.ending(Secret("short")) == "(hidden)"
    assert view.ending(None) == "(hidden)"


def test_failure_of_the_second_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PROFILE", "another")
    with AuthorizationServer() as server:
        demo_stage = Stage(server=server, directory=tmp_path, store_name="file")

        assert "FRESHKEY_PROFILE" not in demo_stage.environ
        with raises_code(TransientError, "demo-failed"):
            acts.second_process(demo_stage)


def test_too_few_renewals_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "RENEWALS_TIMEOUT", 0.0)
    keeper = cast("Keeper", FakeKeeper())
    with raises_code(TransientError, "demo-failed") as caught:
        acts.watch_renewals(view.View(Output(as_json=True)), keeper, 3)
    assert "0 of 3" in str(caught.value)


def test_view_with_json_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent = view.View(Output(as_json=True))
    silent.say("line")
    with silent.countdown(10) as update:
        update(5.0, "…abcd", 1)

    assert capsys.readouterr().out == ""
