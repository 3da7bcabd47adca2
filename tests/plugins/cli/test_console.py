"""The command line in a console of Windows: what is shown, what is typed without being shown, and what keys do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


if sys.platform != "win32":
    pytest.skip("consoles are of Windows; test_hidden_input.py is for other terminals", allow_module_level=True)
assert sys.platform == "win32"  # for mypy, which reads no further elsewhere

from pseudo_console import PseudoConsole  # noqa: E402  needs Windows


READER = '''\
import ctypes, sys, threading
from pathlib import Path
from freshkey_cli import console_keys, hidden_input
def press_ctrl_c():
    """As in a raw console, where it is no signal: to Ctrl-C from outside, a headless console of Wine 8 does nothing."""
    system = ctypes.WinDLL("kernel32")
    keyboard, done = ctypes.c_void_p(system.GetStdHandle(-10)), ctypes.c_ulong()
    system.SetConsoleMode(keyboard, 0)
    key = console_keys._Event(kind=1, down=1, times=1, key=0x43, unit=3, state=8)
    assert system.WriteConsoleInputW(keyboard, ctypes.byref(key), 1, ctypes.byref(done))
def read(number):
    given_up = threading.Event()
    def say(prompt):
        print(prompt, flush=True)
        if prompt == "interrupt":
            press_ctrl_c()
        if prompt == "canceled":
            threading.Timer(1.0, given_up.set).start()
    return hidden_input.read_line(0, number, given_up, say)
results = []
for prompt in sys.argv[2:]:
    try:
        found = read(prompt)
        results.append("None" if found is None else found.reveal())
    except KeyboardInterrupt:
        results.append("KeyboardInterrupt")
Path(sys.argv[1]).write_text("\\0".join(results), "utf-8")
print("done", flush=True)
'''


def test_keys_are_read_without_being_shown(tmp_path: Path) -> None:
    typed = {
        "plain": ("  sk-canary-1 \r", "sk-canary-1"),
        "edited": ("sk-canary\x1b[D\x1b[A-2x\x7f\r", "sk-canary-2"),  # arrow keys, and Backspace
        "unicode": ("canary-\u00e0\u00e9\U0001f511\r", "canary-\u00e0\u00e9\U0001f511"),
        "long": ("canary" * 600 + "\r", "canary" * 600),
        "lines": ("canary1\rcanary2\r", "canary1\ncanary2"),
        "closed": ("\x1a", "None"),
        "canceled": ("canary-left", "None"),
        "after": ("canary-3\r", "canary-3"),  # without what was left
        "interrupt": ("", "KeyboardInterrupt"),
    }
    with PseudoConsole(READER, [str(tmp_path / "read"), *typed], os.environ) as console:
        for prompt, (keys, _) in typed.items():
            console.shows(prompt)
            console.type(keys)
        shown = console.shows("done")
        assert console.end() == 0

    assert (tmp_path / "read").read_text("utf-8").split("\0") == [read for _, read in typed.values()]
    assert "canary" not in shown


def test_a_console_gets_unicode_and_is_a_terminal() -> None:
    program = (
        "import sys; from freshkey_cli import streams; from freshkey_cli.output import Output; streams.prepare();"
        "print(*map(streams.is_terminal, (sys.stdin, sys.stdout, sys.stderr, open('NUL'))));"
        "print('\u2192 \u043c\u0438\u0440 \\udc80');"
        "Output().table({}, ('NAME', 'STATE'), [['\u043c\u0438\u0440', 'fresh']]); print('done', flush=True)"
    )
    with PseudoConsole(program, [], os.environ) as console:
        shown = console.shows("done")
        assert console.end() == 0

    assert "True True True False" in shown
    assert "\u2192 \u043c\u0438\u0440 \\udc80" in shown
    assert "\u043c\u0438\u0440" in shown.partition("\\udc80")[2]


def test_a_key_is_typed_at_a_prompt_of_the_command_line(tmp_path: Path) -> None:
    environ = dict(os.environ) | {
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }
    words = ["login", "claude_oauth", "--api-key", "--store", "file"]
    with PseudoConsole("freshkey", words, environ) as console:
        console.shows("Paste your API key")
        console.type("sk-ant-api03-canary-0123456789\r")
        shown = console.shows("stored in: file")
        assert console.end() == 0

    assert "Received." not in shown
    assert "canary" not in shown
