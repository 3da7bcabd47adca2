"""The environment of a browser: everything it needs, without variables named like secrets (LEK-4)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey._commands import environ
from freshkey._commands.environ import child_environment, secret_values, with_safe_path, without_secrets
from freshkey._commands.helper import HELPER_VARIABLES, run_helper
from freshkey._config.configuration import Configuration
from freshkey._config.env_vars import CONFIG_DIR, PROFILE, STATE_DIR
from freshkey._files.project_place import SYSTEM
from promises import proves


SECRETS = [
    *("SOME_API_KEY", "APIKEY", "SOME_APIKEY", "SOME_ACCESS_KEY_ID", "SOME_SECRET_ACCESS_KEY", "KEY", "some_key"),
    *(
        "SOME_TOKEN",
        "TOKEN",
        "SOME_AUTH_TOKEN_FILE",
        "SOME_SESSION_TOKEN",
        "SOME_TOKENS",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
    ),
    *("SOME_SECRET", "SOME_CLIENT_SECRETS", "SOME_PASSWORD", "DB_PASSWORD_1", "SOME_PASSWD", "SOME_PASS", "MYSQL_PWD"),
    *("SSH_PASSPHRASE", "SOME_APPLICATION_CREDENTIALS", "SOME_CREDENTIAL", "GIT_PAT", "CI_JOB_JWT"),
    *("FRESHKEY_PASSPHRASE", "FRESHKEY_STATE_DIR"),
]

NEEDED = [
    *("PATH", "HOME", "USER", "PWD", "OLDPWD", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL", "TERM"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DESKTOP_SESSION", "DESKTOP_STARTUP_ID", "WSL_DISTRO_NAME"),
    *("XDG_RUNTIME_DIR", "XDG_CURRENT_DESKTOP", "XDG_ACTIVATION_TOKEN", "XDG_CONFIG_HOME", "XDG_SESSION_ID"),
    *(
        "DBUS_SESSION_BUS_ADDRESS",
        "GTK_THEME",
        "QT_QPA_PLATFORM",
        "MOZ_ENABLE_WAYLAND",
        "XMODIFIERS",
        "KDE_FULL_SESSION",
    ),
    *("SSH_AUTH_SOCK", "GNOME_KEYRING_CONTROL", "KEYBOARD", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "LESSKEYIN"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "ALL_PROXY", "BYPASS", "COMPASS_HOME", "PATTERN", "MONKEY_HOME"),
]


@proves("LEK-4")
def test_no_program_gets_what_unlocks_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environ, "_withheld", set())
    stores: dict[str, dict[str, object]] = {
        "file": {"passphrase_env": "VAULT"},
        "team": {"url": "x", "dsn_env": "TEAM_DSN", "broken_env": 7},
    }
    assert Configuration.of({}, state_dir=tmp_path, stores=stores).document is not None
    harmless = {CONFIG_DIR: "/c", STATE_DIR: "/s", PROFILE: "me", "PATH": "/bin", "AWS_PROFILE": "team"}
    unlocking = {"FRESHKEY_PASSPHRASE": "c", "FRESHKEY_OF_LATER": "c", "VAULT": "c", "TEAM_DSN": "c"}
    assert child_environment({**harmless, **unlocking}) == harmless
    assert not unlocking.keys() & without_secrets({**harmless, **unlocking}).keys()
    printed = run_helper(
        [sys.executable, "-c", "import os; print(sorted(os.environ))"], environ={**os.environ, **unlocking}
    )
    assert not [name for name in unlocking if repr(name) in printed.reveal()]


@pytest.mark.parametrize("name", SECRETS)
def test_variable_named_like_a_secret_is_removed(name: str) -> None:
    assert without_secrets({name: "canary", "LANG": "C"}) == {"LANG": "C"}


@pytest.mark.parametrize("name", [*NEEDED, *sorted(HELPER_VARIABLES)])
def test_variable_that_a_browser_needs_is_kept(name: str) -> None:
    value = str(Path(os.sep, "value").absolute())
    kept = without_secrets({name: value})
    assert kept.keys() == {name}
    assert (kept[name] == value) is (name not in SYSTEM)  # those are the system's, whoever sets them


@pytest.mark.parametrize("name", ["SOME_CREDENTIALS_FILE", "SOME_TOKEN_PATH", "SOME_KEY_DIR"])
@pytest.mark.parametrize("value", [str(Path(os.sep, "home", "ada", "credentials").absolute()), "~/.some/credentials"])
def test_path_of_a_file_is_kept(name: str, value: str) -> None:
    assert without_secrets({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("postgres://me:canary@db.example/x", False),
        ("amqp+tls://:canary@queue.example", False),
        ("https://example.com/a:b@c", True),
        ("https://me@example.com/", True),
        ("unix:path=/run/user/1000/bus", True),
        ("me:canary@example.com", True),
    ],
)
def test_url_with_a_password_is_removed(value: str, left: bool) -> None:
    assert without_secrets({"DATABASE_URL": value}) == ({"DATABASE_URL": value} if left else {})


def test_proxy_with_a_password_is_kept() -> None:
    """Without the proxy, the browser cannot reach the network."""
    proxies = {"HTTPS_PROXY": "http://me:pw@proxy.example:3128", "all_proxy": "socks5://me:pw@proxy.example"}
    assert without_secrets(proxies) == proxies


words = st.sampled_from(["SOME", "", "KEY", "KEYS", "token", "Secret", "PASSWORD", "CREDENTIALS", "X", "HOME", "1"])


@settings(derandomize=True, database=None)
@given(st.dictionaries(st.lists(words, min_size=1, max_size=4).map("_".join), st.text("ab:/@.", max_size=12)))
def test_kept_variables_are_unchanged_and_not_named_like_secrets(environ: dict[str, str]) -> None:
    left = without_secrets(environ)
    assert left.items() <= environ.items()
    assert without_secrets(left) == left
    assert not {
        name
        for name in left
        if {"KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS"} & {*name.upper().split("_")}
    }


def test_name_with_a_line_break_is_examined_once() -> None:  # NET-10
    began = time.process_time()
    assert without_secrets({"KEY_" * 30_000 + "\n": "x"}) == {}
    assert time.process_time() - began < 5.0


def test_path_of_a_file_of_credentials_is_no_secret(tmp_path: Path) -> None:
    paths = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json"), "OTHER_TOKEN": str(tmp_path)}
    paths["A_KEY"] = "/nowhere/x/y"
    secrets = {"A_TOKEN": "hunter22-Kx9qT4", "A_SECRET": "/bPxRfiCYEXAMPLEKEY7MDENGK4J5H6G3F2D"}
    assert sorted(secret_values({**paths, **secrets})) == sorted(secrets.values())


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")
def test_path_that_is_passed_on_has_no_entry_that_another_user_can_change(tmp_path: Path) -> None:
    """TRU-9: ``timeout 9 key`` looks up ``key`` itself."""
    for name, mode in (("ours", 0o755), ("everyones", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    entries = [str(tmp_path / name) for name in ("everyones", "missing", "ours")]
    assert with_safe_path({"PATH": os.pathsep.join(entries), "X": "1"}) == {"PATH": str(tmp_path / "ours"), "X": "1"}
    assert with_safe_path({"PATH": entries[0]}) == {"PATH": os.devnull}
    assert with_safe_path({}) == {}
