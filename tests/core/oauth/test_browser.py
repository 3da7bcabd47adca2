from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.errors import ConfigurationError
from freshkey.oauth import Pkce, Server, authorization_url, browser
from raises_code import raises_code
from waiting import until


URL = "https://id.example.com/authorize?a=b&c=%20d;e=(f)*!"


# --- safe URLs: FLO-7, FAULT-57 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://id.example.com",
        "https://id.example.com:8443/a/b~c.d_e-f",
        "https://[2001:db8::1]/a",
        "https://id.example.com/?redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback",
    ],
)
def test_safe_urls(url: str) -> None:
    assert browser.safe_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://id.example.com/",
        "http://127.0.0.1:8000/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://id.example.com/",
        "--renderer-cmd-prefix=sh",
        "-https://id.example.com/",
        " https://id.example.com/",
        "https:///path",
        "https://",
        "https://?a=b",
        "https://user@id.example.com/",
        "https://user:pass@id.example.com/",
        "https://id.example.com%2F@evil.example/",
        "https://id%2Eexample.com/",
        "https://id.example.com/#fragment",
        "https://id.example.com/a b",
        "https://id.example.com/\n",
        "https://id.example.com/\x1b[31m",
        "https://id.example.com/é",
        "https://id.example.com/'",
        'https://id.example.com/"',
        "https://id.example.com/`id`",
        "https://id.example.com/$(id)",
        "https://id.example.com/a\\b",
        "https://id.example.com/<a>",
        "https://id.example.com/^a|b",
        "https://id.example.com/%action",
        "https://id.example.com/%s",
        "https://id.example.com/%",
        "https://id.example.com/%2",
        "https://id.example.com/%zz",
        "https://id.example.com:port/",
        "https://id.example.com:99999/",
        "https://[::1/",
        "https://id.example.com/" + "a" * 8192,
    ],
)
def test_unsafe_urls_are_refused_without_quoting_them(url: str) -> None:
    with raises_code(ConfigurationError, "invalid-url") as caught:
        browser.safe_url(url)
    assert len(url) < 12 or url not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_loopback_without_tls_must_be_allowed(host: str) -> None:
    url = f"http://{host}/authorize"

    assert browser.safe_url(url, allow_insecure_loopback=True) == url
    for refused, allowed in ((url, False), ("http://id.example.com/", True)):
        with raises_code(ConfigurationError, "invalid-url") as caught:
            browser.safe_url(refused, allow_insecure_loopback=allowed)
        assert "does not use https" in str(caught.value)


@given(st.text(max_size=60) | st.text("abz.:/@?%#[]&=-\\ '\"$`012", max_size=60).map(lambda tail: "https://" + tail))
def test_a_safe_url_has_no_special_characters(url: str) -> None:
    try:
        safe = browser.safe_url(url)
    except ConfigurationError:
        return
    assert safe == url
    assert url.isascii()
    assert url.startswith("https://")
    assert not set(url) & set(" \t\r\n'\"`$\\<>^|{}#")
    assert urlsplit(url).geturl().replace("?", "") == url.replace("?", "")
    assert urlsplit(url).username is None


@given(state=st.text(), client_id=st.text(min_size=1))
def test_every_authorization_url_is_safe(state: str, client_id: str) -> None:
    server = Server(authorization_endpoint="https://id.example.com/a", token_endpoint="https://id.example.com/t")
    url = authorization_url(
        server,
        client_id=client_id.encode("utf-8", "replace").decode()[:50],
        redirect_uri="http://127.0.0.1:1/callback?app=x",
        scopes=("user:profile",),
        state=state.encode("utf-8", "replace").decode()[:50],
        pkce=Pkce.create(),
    )

    assert browser.safe_url(url) == url


# --- browser program: FLO-8 ------------------------------------------------------------------------------------------

MakeProgram = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> MakeProgram:
    """Create a program that records its arguments in a directory for `PATH`: `program("firefox", "exit 1")`."""
    if sys.platform == "win32":
        pytest.skip("its programs are shell scripts; test_browser_process.py has others")

    def make(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(["#!/bin/sh", f'printf "%s\\n" "$#" "$@" > {tmp_path}/arguments', *lines, ""]))
        path.chmod(0o700)
        return path

    return make


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": f"{tmp_path}:/usr/bin:/bin", **more}


def recorded(tmp_path: Path) -> list[str]:
    path = tmp_path / "arguments"
    until(lambda: path.exists() and path.read_text().endswith("\n"), "the browser to start")
    return path.read_text().splitlines()


def test_the_browser_gets_the_url_as_one_argument(program: MakeProgram, tmp_path: Path) -> None:
    chosen = program("my browser")

    assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER=str(chosen))) is True
    assert recorded(tmp_path) == ["1", URL]


def test_the_browser_environment_has_no_secrets(program: MakeProgram, tmp_path: Path) -> None:  # LEK-4
    chosen = program("browser", f"env > {tmp_path}/environment")
    secrets = {"FRESHKEY_PASSPHRASE": "CANARY-1", "SOME_PROVIDER_API_KEY": "CANARY-2", "NIGHTLY_TOKEN": "CANARY-3"}

    assert browser.open_browser(
        URL, environ=environment(tmp_path, BROWSER=str(chosen), LANG="C", DISPLAY=":0", **secrets)
    )
    seen = (tmp_path / "environment").read_text()
    assert "LANG=C" in seen
    assert "DISPLAY=:0" in seen
    assert "CANARY" not in seen


def test_a_name_is_found_on_path(program: MakeProgram, tmp_path: Path) -> None:
    program("firefox")

    assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER="firefox")) is True
    assert recorded(tmp_path) == ["1", URL]


@pytest.mark.parametrize("value", ["prog", "prog %s", "'prog' --new '%s'", "missing %s:prog %s", "prog %s &"])
def test_a_program_with_arguments_is_started(program: MakeProgram, tmp_path: Path, value: str) -> None:
    program("prog")

    assert browser.browser_program(environment(tmp_path, BROWSER=value)) == str(tmp_path / "prog")
    assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER=value)) is True
    assert recorded(tmp_path)[-1] == URL


def test_the_next_browser_is_tried_if_one_fails(program: MakeProgram, tmp_path: Path) -> None:
    program("broken", "exit 3")
    program("prog")

    assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER="broken %s:prog --window=%s"))
    assert recorded(tmp_path) == ["1", f"--window={URL}"]


@pytest.mark.parametrize(
    "value",
    ["./evil", "../evil %s", "sh -c evil", "sh -c 'evil %s'", "evil 'x %s'", "'evil %s", "/nowhere/evil", ":", ""],
)
def test_other_values_of_browser_are_ignored(program: MakeProgram, tmp_path: Path, value: str) -> None:
    program("evil")

    assert browser.browser_program({"PATH": str(tmp_path), "BROWSER": value}) is None
    assert browser.open_browser(URL, environ={"PATH": str(tmp_path), "BROWSER": value}) is False
    assert not (tmp_path / "arguments").exists()


def test_programs_in_the_working_directory_are_ignored(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("xdg-open")
    monkeypatch.chdir(tmp_path)

    for path in (".", "", "../" + tmp_path.name):
        assert browser.browser_program({"DISPLAY": ":0", "BROWSER": "xdg-open", "PATH": path}) is None
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert browser.browser_program({"DISPLAY": ":0", "PATH": f".:{tmp_path}"}) == f"{tmp_path}/xdg-open"


@pytest.mark.parametrize(
    "value", ["{root}/evil", "evil", "{root}/evil %s", "sh {root}/evil", "env --chdir={root} ./evil", "{link} %s", "-"]
)
def test_program_of_the_project_is_not_started(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """TRU-13: the variable may come from the project's .env, and so may the entries of PATH."""
    root = tmp_path / "checkout"
    (root / ".git").mkdir(parents=True)
    for name in ("evil", "xdg-open"):
        program(name).rename(root / name)
    link = tmp_path / "link"
    link.symlink_to(root / "evil")
    monkeypatch.chdir(root)
    usual = tmp_path / "usual"
    usual.mkdir()
    for name in ("sh", "env"):
        (usual / name).symlink_to(f"/usr/bin/{name}")
    environ = {"DISPLAY": ":0", "BROWSER": value.format(root=root, link=link), "PATH": f"{root}:{usual}"}
    assert browser.browser_program(environ) is None
    assert browser.open_browser(URL, environ=environ) is False
    assert not (tmp_path / "arguments").exists()


def test_browser_neither_runs_in_the_project_nor_finds_its_programs(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRU-13: launchers start browsers by name, and interpreters load modules from the working directory."""
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path))
    program("prog", f"pwd > {tmp_path}/inherited; printenv PATH >> {tmp_path}/inherited")
    environ = {"BROWSER": "prog", "PATH": f"{tmp_path}/checkout:{tmp_path}:/usr/bin:/bin"}
    assert browser.open_browser(URL, environ=environ) is True
    assert (tmp_path / "inherited").read_text().split() == [str(tmp_path), f"{tmp_path}:/usr/bin:/bin"]


def test_browser_gets_no_variable_that_leads_into_the_project(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRU-13: a launcher starts what a desktop entry says, and any program loads modules from its own variables."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    monkeypatch.chdir(checkout)
    program("prog", f"env > {tmp_path}/inherited")
    names = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "HOME", "BASH_ENV", "GTK_PATH", "ANY_PLUGIN")
    environ = {"BROWSER": "prog", "PATH": f"{tmp_path}:/usr/bin:/bin", "LANG": "C", "GTK_MODULES": f"a:{checkout}/b.so"}
    assert browser.open_browser(URL, environ={**environ, **dict.fromkeys(names, str(checkout / "d"))}) is True
    inherited = (tmp_path / "inherited").read_text()
    assert "LANG=C" in inherited
    assert str(checkout) not in inherited


@pytest.mark.parametrize("form", ["{}", "{} %s", "env {} %s", "prog -r{}", "prog --script={} %s"])
def test_program_of_the_project_in_any_form_is_left_out_and_named(
    program: MakeProgram, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """TRU-13: the next entry is used."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    monkeypatch.chdir(checkout)
    script = program("open").rename(checkout / "open")
    program("prog")
    program("mine")
    environ = environment(tmp_path, BROWSER=f"{form.format(script)}:mine")
    assert browser.browser_program(environ) == str(tmp_path / "mine")
    assert "in the current project" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_program_that_another_user_can_replace_is_not_started(
    program: MakeProgram, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """TRU-9: whoever can replace the browser would run as the user; the next one is tried."""
    program("theirs").chmod(0o777)
    environ = environment(tmp_path, BROWSER="theirs:prog")
    assert browser.browser_program(environ) is None
    assert "'theirs' was not run: other users can change" in caplog.text
    program("prog")
    assert browser.browser_program(environ) == str(tmp_path / "prog")


def test_a_file_that_is_not_executable_is_ignored(program: MakeProgram, tmp_path: Path) -> None:
    program("plain").chmod(0o600)

    assert browser.open_browser(URL, environ={"PATH": str(tmp_path), "BROWSER": str(tmp_path / "plain")}) is False


@pytest.mark.skipif(sys.platform == "win32", reason="the browser of Windows is tried next")
def test_a_program_that_cannot_be_started_returns_false(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o700)

    assert browser.open_browser(URL, environ={"PATH": str(tmp_path), "BROWSER": str(broken)}) is False


@pytest.mark.skipif(sys.platform != "linux", reason="browser lookup of Linux desktops")
@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"])
def test_xdg_open_is_used_on_a_desktop(program: MakeProgram, tmp_path: Path, display: str) -> None:
    program("xdg-open", f'printf "%s" "${{BROWSER-unset}}" > {tmp_path}/inherited')
    environ = {"PATH": str(tmp_path), display: "x", "BROWSER": "evil %s"}

    assert browser.browser_program(environ) == str(tmp_path / "xdg-open")
    assert browser.open_browser(URL, environ=environ) is True
    assert (tmp_path / "inherited").read_text() == "unset"


@pytest.mark.skipif(sys.platform != "linux", reason="browser lookup of Linux desktops")
def test_without_a_desktop_no_browser_starts_in_the_terminal(program: MakeProgram, tmp_path: Path) -> None:
    program("xdg-open")

    assert browser.open_browser(URL, environ={"PATH": str(tmp_path)}) is False


def test_a_browser_that_fails_returns_false(program: MakeProgram, tmp_path: Path) -> None:
    program("firefox", "exit 3")

    assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER="firefox")) is False


def test_a_browser_that_keeps_running_is_not_waited_for(program: MakeProgram, tmp_path: Path) -> None:
    program("firefox", f"while [ ! -e {tmp_path}/stop ]; do sleep 0.02; done")
    started = time.monotonic()

    try:
        assert browser.open_browser(URL, environ=environment(tmp_path, BROWSER="firefox")) is True
        assert time.monotonic() - started < 10
    finally:
        (tmp_path / "stop").touch()


def test_an_unsafe_url_starts_no_browser(program: MakeProgram, tmp_path: Path) -> None:
    program("firefox")

    with raises_code(ConfigurationError, "invalid-url"):
        browser.open_browser("--renderer-cmd-prefix=sh", environ=environment(tmp_path, BROWSER="firefox"))
    assert not (tmp_path / "arguments").exists()


def test_browser_output_goes_to_stderr(program: MakeProgram, tmp_path: Path) -> None:  # FLO-7
    program("firefox", "echo printed", "read -r line && echo read $line", "exit 0")
    script = f"from freshkey.oauth import browser; print(browser.open_browser({URL!r}))"

    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment(tmp_path, BROWSER="firefox")},
        input="stdin of the application\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout == "True\n"
    assert ran.stderr == "printed\n"


def test_the_browser_opens_even_if_stderr_is_closed(program: MakeProgram, tmp_path: Path) -> None:
    program("firefox", "echo printed")
    script = f"import os; os.close(2); from freshkey.oauth import browser; print(browser.open_browser({URL!r}))"

    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment(tmp_path, BROWSER="firefox")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout == "True\n"
