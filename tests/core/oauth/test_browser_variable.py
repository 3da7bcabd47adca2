"""`$BROWSER` means what it means to Python's `webbrowser`, as far as that is safe (FLO-8)."""

from __future__ import annotations

import os
import shlex
import sys
import webbrowser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.oauth.browser_variable import browser_commands
from promises import proves


URL = "https://id.example.com/authorize?a=b&c=%20d;e=(f)*!"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name in ("prog", "firefox", "google-chrome-stable", "my browser", "bash", "powershell.exe", "cmd.exe", "env"):
        program(tmp_path, name)
    return tmp_path


def program(folder: Path, name: str) -> Path:
    path = folder / name
    if sys.platform == "win32" and not path.suffix:
        path = path.with_suffix(".exe")
    path.touch(0o700)
    return path


def commands(path: Path, value: str, platform: str = "linux") -> list[list[str]]:
    """Return the commands of a value, with the names of the programs in `path` instead of their paths."""
    found = browser_commands(URL, {"BROWSER": value, "PATH": str(path)}, platform=platform)
    return [[named(path, start), *rest] for start, *rest in found]


def named(path: Path, start: str) -> str:
    if not Path(start).is_relative_to(path):
        return start
    name = Path(start).name
    return name.lower().removesuffix(".exe") if sys.platform == "win32" else name


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ("prog", ["prog", URL]),
        ("prog %s", ["prog", URL]),
        ("prog --new-window %s", ["prog", "--new-window", URL]),
        ("prog --new-window", ["prog", "--new-window", URL]),
        ("prog %s --new-window", ["prog", URL, "--new-window"]),
        ("prog --app=%s", ["prog", f"--app={URL}"]),
        ("prog -remote openURL(%s,new-tab)", ["prog", "-remote", f"openURL({URL},new-tab)"]),
        ("prog --scale=150%% %s", ["prog", "--scale=150%", URL]),
        ("prog 100%%", ["prog", "100%", URL]),
        ("prog 'a b' \"c d\" %s", ["prog", "a b", "c d", URL]),
        ("'my browser' %s", ["my browser", URL]),
        ("prog %s &", ["prog", URL]),
        ("prog %s&", ["prog", URL]),
        ("prog &", ["prog", URL]),
        ("  prog   %s  ", ["prog", URL]),
        ("firefox", ["firefox", URL]),
        ("Firefox", ["firefox", URL]),
        ("firefox -P work %s", ["firefox", "-P", "work", URL]),
        ("mozilla", ["firefox", URL]),
        ("chrome", ["google-chrome-stable", URL]),
        ("bash /opt/open-url %s", ["bash", "/opt/open-url", URL]),
        ("env A=b firefox %s", ["env", "A=b", "firefox", URL]),
    ],
)
def test_one_command(path: Path, value: str, command: list[str]) -> None:
    assert commands(path, value) == [command]


@proves("FLO-8")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "&",
        "%s",
        "missing",
        "missing %s",
        "./prog %s",
        "sub/prog %s",
        "../prog",
        "prog 'unbalanced %s",
        # A shell, or another program that parses its arguments as code: URLs contain & and ;
        "bash -c 'firefox %s'",
        "bash -c %s",
        "bash -lc 'firefox %s' %s",
        "bash -c firefox",
        "bash -ci %s",
        "bash --command=%s",
        "bash --command %s",
        "env bash -c 'exec firefox %s'",
        "env bash -c %s",
        "prog /bin/sh -c %s",
        "prog cmd.exe /c start %s",
        "prog ssh host firefox %s",
        "prog 'x; %s'",
        "prog '$(%s)'",
        "cmd.exe /c start %s",
        "powershell.exe Start-Process %s",
        "PowerShell.exe %s",
    ],
)
def test_no_command(path: Path, value: str) -> None:
    program(path, "PowerShell.exe")

    assert commands(path, value) == []


def test_absolute_paths(path: Path) -> None:
    def found(value: str) -> list[list[str]]:
        return commands(path, value, sys.platform)

    prog, spaced = program(path, "prog"), program(path, "my browser")
    assert found(f"{prog}") == [["prog", URL]]
    assert found(f"{spaced}") == [["my browser", URL]]
    assert found(f'"{spaced}" --app=%s') == [["my browser", f"--app={URL}"]]
    assert found(f"{path / 'missing'} %s{os.pathsep}{prog} %s") == [["prog", URL]]
    assert found(f"{path / 'cmd.exe'}") == []


def test_a_list_is_tried_in_order(path: Path) -> None:
    assert commands(path, ":missing::firefox %s: prog --app=%s :'") == [["firefox", URL], ["prog", f"--app={URL}"]]


def test_names_of_mac_applications(path: Path) -> None:
    assert commands(path, "safari:firefox:MacOSX", "darwin") == [
        ["/usr/bin/open", "-a", "Safari", URL],
        ["firefox", URL],
    ]


def test_windows_lists_are_separated_by_semicolons(path: Path) -> None:
    assert commands(path, 'windows-default;"my browser" "%s"', "win32") == [["my browser", URL]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (r"prog C:\it's\profile %s", [r"C:\it's\profile", URL]),
        (r'prog --profile="C:\my profile" --app="%s"', [r"--profile=C:\my profile", f"--app={URL}"]),
        (r'"prog" "" %s', ["", URL]),
        ('prog "unbalanced %s', None),
        ('prog "x & %s"', None),
    ],
)
def test_windows_words_have_backslashes_and_double_quotes(path: Path, value: str, words: list[str] | None) -> None:
    assert commands(path, value, "win32") == ([] if words is None else [["prog", *words]])


@proves("FLO-8")
@pytest.mark.parametrize(
    "value",
    [
        "{root}open.cmd",
        "{root}OPEN.BAT",
        "open %s",
        "open.cmd %s",
        "prog open.bat %s",
        "prog {root}open.cmd. %s",
        "wsl firefox",
        "wt firefox %s",
        "prog wsl.exe firefox %s",
        "{root}cmd.exe. /c start %s",
    ],
)
def test_nothing_that_cmd_or_another_shell_parses_is_started(
    path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows starts cmd.exe for batch files, and it parses ``&``, ``%`` and ``^`` in arguments, quoted or not."""
    monkeypatch.setenv("PATHEXT", ".EXE;.BAT;.CMD")
    for name in ("open.cmd", "open.bat", "OPEN.BAT", "wsl.exe", "wsl", "wt.exe", "wt", "cmd.exe.", "open.cmd."):
        program(path, name)

    assert commands(path, value.format(root=f"{path}{os.sep}"), "win32") == []


@given(value=st.text("prog firefox%s&:;'\"\\-c=x/$(`", max_size=40))
def test_the_url_is_in_an_argument_without_spaces_or_quotes(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "browsers"
    folder.mkdir(exist_ok=True)
    for name in ("prog", "firefox"):
        program(folder, name)

    for _, *arguments in browser_commands(URL, {"BROWSER": value, "PATH": str(folder)}):
        assert [word for word in arguments if URL in word]
        for word in arguments:
            assert URL not in word or not set(word.replace(URL, "")) & set(" '\"\\&;$`|<>")


@pytest.mark.parametrize("value", ["prog %s", "prog --new-window %s", "prog 'a b' %s", "prog --app=%s", "prog %s &"])
def test_the_standard_library_starts_the_same(path: Path, value: str) -> None:
    words = shlex.split(value)
    background = words[-1] == "&"
    chosen = webbrowser.get(value)

    assert isinstance(chosen, webbrowser.BackgroundBrowser) is background
    arguments = [word.replace("%s", URL) for word in (words[1:-1] if background else words[1:])]
    assert [chosen.name, *(word.replace("%s", URL) for word in chosen.args)] == ["prog", *arguments]
    assert commands(path, value) == [["prog", *arguments]]
