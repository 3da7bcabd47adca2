"""Whole sessions: real keeper, provider, authorization server, file store, and pseudo-terminal; a scripted browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from cli_doubles import Done, finished
from freshkey_testing import AuthorizationServer
from freshkey_testing.browser import copy_address
from typist import Typist


if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

KEY = "sk-ant-api03-of-the-environment-0123"
BROWSER = "import sys\nfrom freshkey_testing.browser import follow\nfollow(sys.argv[1])\n"


@frozen(kw_only=True)
class Machine:
    """A machine set up for the file store and the test server."""

    server: AuthorizationServer
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        places = {"FRESHKEY_CONFIG_DIR": str(self.home), "FRESHKEY_STATE_DIR": str(self.home / "state")}
        desktop = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "ANTHROPIC_", "FRESHKEY_", "WSL_")
        return {name: value for name, value in os.environ.items() if not name.startswith(desktop)} | places

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", "freshkey", *argv]

    def run(self, *argv: str, **environ: str) -> Done:
        return finished(self.command(*argv), self.environ | environ)

    @property
    def browser(self) -> str:
        program = self.home / "browser"
        program.write_text(f"#!{sys.executable}\n{BROWSER}")
        program.chmod(0o700)
        return str(program)

    def sign_in(self) -> Done:
        return self.run("login", BROWSER=self.browser)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with AuthorizationServer() as server:
        settings = {"provider": "claude_oauth", "store": "file", **server.settings()}
        file = tmp_path / "config.toml"
        file.touch(mode=0o600)
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        file.write_text("\n".join(['default = "me"', "[profiles.me]", *lines]))
        yield Machine(server=server, home=tmp_path)


def test_a_whole_session(machine: Machine) -> None:
    assert machine.sign_in().code == 0
    first = machine.run("token", "--json").json
    assert first["token"] in machine.server.secrets()

    assert machine.run("refresh").code == 0
    second = machine.run("token").out.strip()
    assert second in machine.server.secrets()
    assert second != first["token"]

    (status,) = machine.run("status", "--json").json["profiles"]
    assert (status["store"], status["source"], status["freshness"]) == ("file", "oauth", "fresh")
    assert machine.run("whoami", "--json").json["validity"] == "valid"
    assert [step["wins"] for step in machine.run("explain", "--json").json["steps"]].count(True) == 1
    assert machine.run("export", "--format", "headers").out.startswith(f"Authorization: Bearer {second}\n")

    assert machine.run("logout", "--json").json["revoked"] is True
    assert machine.server.count("revoked") == 1
    (status,) = machine.run("status", "--json").json["profiles"]
    assert not status["signed_in"]


def test_commands_exit_3_if_no_one_is_signed_in(machine: Machine) -> None:
    for command in ("token", "token", "whoami", "refresh", "export"):
        done = machine.run(command)
        assert (done.code, done.out) == (3, "")
        assert done.err.endswith("freshkey login me\n")


def test_misspelled_names_suggest_the_right_one(machine: Machine) -> None:
    assert "'claude_oauth'" in machine.run("token", "claude_outh").err

    config = machine.home / "config.toml"
    config.write_text(config.read_text().replace('"claude_oauth"', '"claude_oath"'))
    done = machine.run("token")
    assert done.code == 6
    assert re.search(r"config\.toml, line 3: .*'claude_oath'.*'claude_oauth'", done.err)


def test_login_without_terminal_and_browser_fails_immediately(machine: Machine) -> None:
    done = machine.run("login")

    assert (done.code, done.out, done.error_code) == (3, "", "no-terminal")
    assert machine.run("login", "--no-browser", BROWSER=machine.browser).code == 3


def test_a_fixed_redirect_port_must_be_free_and_valid(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        done = machine.run("login", "--set", f"redirect_port={taken}", BROWSER=machine.browser)
    assert (done.code, done.out, done.error_code) == (5, "", "redirect-port-taken")
    assert str(taken) in done.err

    assert machine.run("login", "--set", "redirect_port=80", BROWSER=machine.browser).error_code == "invalid-setting"
    assert machine.run("login", "--set", f"redirect_port={taken}", BROWSER=machine.browser).code == 0


def test_only_token_and_export_print_secrets(machine: Machine) -> None:
    shown = machine.sign_in()
    for command in ("status", "whoami", "explain", "refresh", "logout", "token"):
        done = machine.run(command, "--json")
        shown_now = done.out + done.err if command != "token" else done.err
        assert not [secret for secret in machine.server.secrets() if secret in shown_now]
    assert not [secret for secret in machine.server.secrets() if secret in shown.out + shown.err]


def test_unreachable_server_is_exit_5(machine: Machine) -> None:
    machine.sign_in()
    machine.server.fail_with(503)

    assert machine.run("refresh").code == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_renewal_interrupted_by_a_signal_is_finished_and_saved(machine: Machine, number: signal.Signals) -> None:
    """ROT-10: the refresh token is already used when the signal arrives; losing the response would end the sign-in."""
    machine.sign_in()
    machine.server.hold()
    process = subprocess.Popen(machine.command("refresh"), env=machine.environ, stdout=subprocess.PIPE)
    machine.server.wait_until_held()
    process.send_signal(number)
    machine.server.release()
    out, _ = process.communicate(timeout=20)

    assert process.returncode == 128 + number
    assert out == b""
    assert machine.run("refresh").code == 0
    assert machine.server.count("grant.refresh_token") == 2
    assert machine.server.count("refresh_token.reused") == 0


def test_pasted_code_is_not_shown_and_stdout_stays_clean(machine: Machine) -> None:
    reading, writing = os.pipe()
    with Typist(machine.command("login", "--no-browser", "--json"), machine.environ, stdout=writing) as user:
        screen = user.read_until("never into a web page")
        user.wait_until_quiet()
        address = copy_address([url for url in re.findall(r"http://\S+", screen) if "response_type=" in url])
        user.type(f"{address}\r")
        assert user.end() == 0
        assert user.as_before
        assert address not in user.screen
    os.close(writing)
    with os.fdopen(reading) as results:
        assert json.load(results)["identity"]["email"] == "ada@example.com"


def test_a_second_sign_in_asks_and_revokes_the_first(machine: Machine) -> None:
    assert machine.sign_in().code == 0
    for answer, opened, revoked in (("n", False, 0), ("y", True, 1)):
        with Typist(machine.command("login"), machine.environ | {"BROWSER": machine.browser}) as user:
            user.read_until("already signed in as ada@example.com")
            user.type(f"{answer}\r")
            assert user.end() == 0
            assert ("Opening your browser" in user.screen) is opened
        assert machine.server.count("revoked") == revoked
    assert machine.run("refresh").code == 0

    replaced = machine.run("login", "--replace", BROWSER=machine.browser)
    assert (replaced.code, machine.server.count("revoked")) == (0, 2)
    assert "Revoked the sign-in that was replaced" in replaced.err
    assert machine.sign_in().code == 0  # no one can be asked
    assert machine.server.count("revoked") == 3
    assert machine.run("refresh").code == 0


def test_interrupting_a_sign_in_restores_the_terminal(machine: Machine) -> None:
    with Typist(machine.command("login", "--no-browser"), machine.environ) as user:
        user.read_until("never into a web page")
        user.wait_until_quiet()
        user.interrupt()

        assert user.end() == 130
        assert user.as_before
        assert "freshkey: interrupted" in user.screen
        assert "Traceback" not in user.screen
    assert machine.run("token").code == 3


@pytest.mark.parametrize(
    "typed",
    [
        f"{KEY[:12]}\r{KEY[12:]}\r",
        f"\x1b[200~{KEY[:12]}\n{KEY[12:]}\x1b[201~\r",
        f'"{KEY}"\r',
        f"export ANTHROPIC_API_KEY={KEY}\r",
        f"Authorization: Bearer {KEY}\r",
        f"{KEY}\u200b\r",
    ],
)
def test_a_key_that_was_wrapped_or_quoted_is_not_stored(machine: Machine, typed: str) -> None:
    with Typist(machine.command("login", "--api-key"), machine.environ) as user:
        user.read_until("API key")
        user.wait_until_quiet()
        user.type(typed)
        assert user.end() == 6
        assert user.as_before
        assert "[invalid-secret-input]" in user.screen or "[claude-invalid-api-key]" in user.screen
        assert KEY[:12] not in user.screen
    assert machine.run("token").code == 3


@pytest.mark.parametrize(
    "piped",
    [f"{KEY[:12]}\n{KEY[12:]}\n", f"'{KEY}'\n", f"KEY={KEY}\n", f'{{"key": "{KEY}"}}\n', f"{KEY[:9]} {KEY[9:]}\n"],
)
def test_a_piped_key_that_is_more_than_a_key_is_not_stored(machine: Machine, piped: str) -> None:
    done = subprocess.run(
        machine.command("login", "--api-key"),
        env=machine.environ,
        input=piped,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (6, "")
    assert KEY[:9] not in done.stderr
    assert machine.run("token").code == 3


def test_token_can_be_printed_to_a_terminal(machine: Machine) -> None:
    machine.sign_in()
    token = machine.run("token").out
    with Typist(machine.command("token"), machine.environ) as user:
        assert user.end() == 0
        assert user.screen == token.replace("\n", "\r\n")


def test_token_check_does_not_renew_a_token_that_is_refused_while_it_is_young(machine: Machine) -> None:
    machine.server.policy.lifetime = 36_000.0  # young until it is a tenth as old
    machine.sign_in()
    first = machine.run("token", "--check")
    assert (first.code, first.err, machine.server.count("grant.refresh_token")) == (0, "", 0)

    machine.server.expire_access_tokens()
    assert machine.run("token").out == first.out
    too_young = machine.run("token", "--check")
    assert (too_young.code, too_young.out, machine.server.count("grant.refresh_token")) == (5, "", 0)


def test_token_check_renews_a_refused_token_once(machine: Machine) -> None:
    began = time.monotonic()
    machine.run("status")
    # Old soon, but not so soon that the last command finds the second token at its end.
    machine.server.policy.lifetime = max(20.0, 50 * (time.monotonic() - began))
    machine.sign_in()
    first = machine.run("token")

    machine.server.expire_access_tokens()
    while (second := machine.run("token", "--check")).code == 5:
        assert machine.server.count("grant.refresh_token") == 0
    assert (second.code, second.err, machine.server.count("grant.refresh_token")) == (0, "", 1)
    assert second.out != first.out
    assert machine.run("token", "--check").out == second.out
    assert machine.server.count("grant.refresh_token") == 1


def test_token_check_prints_the_token_if_the_server_is_unavailable(machine: Machine) -> None:
    machine.sign_in()
    machine.server.fail_with(503, endpoint="profile")
    done = machine.run("token", "--check")

    assert (done.code, done.out) == (0, machine.run("token").out)
    assert done.err.startswith("me: ")


def test_bare_mode_uses_only_explicitly_provided_credentials(machine: Machine) -> None:
    machine.sign_in()
    kept = machine.run("token").out
    bare = ("claude_oauth", "--bare")
    assert machine.run("token", *bare).code == 3
    assert machine.run("token", "me", "--bare").code == 6  # the profile is in config.toml

    reading, writing = os.pipe()
    os.write(writing, b"sk-ant-api03-handed-in-0123456789\n")
    os.close(writing)
    command = machine.command("token", *bare, "--set", f"api_key_fd={reading}")
    done = subprocess.run(command, env=machine.environ, pass_fds=[reading], capture_output=True, text=True, check=False)
    os.close(reading)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sk-ant-api03-handed-in-0123456789\n", "")
    assert kept.strip() not in machine.run("explain", *bare).out
    assert machine.run("status", "--bare", ANTHROPIC_API_KEY="sk-ant-api03-of-the-environment").err == ""
    assert machine.run("status", *bare).err.startswith("claude_oauth: no credential. Provide one of these: ")


def test_set_option_is_checked_like_a_setting_in_the_file(machine: Machine) -> None:
    done = machine.run("token", "--set", "api_kee_fd=3")
    assert (done.code, done.out) == (6, "")
    assert "--set: " in done.err
    assert "'api_kee_fd'" in done.err
    assert "'api_key_fd'" in done.err


TOKEN = "left-over-0123456789"
HIDES = "using the bearer token from environment variable ANTHROPIC_AUTH_TOKEN, not the OAuth sign-in of "


def test_what_hides_a_sign_in_is_said_at_login_in_status_and_in_a_terminal(machine: Machine) -> None:
    left_over = {"ANTHROPIC_AUTH_TOKEN": TOKEN}
    assert machine.run("status", **left_over).err == ""
    done = machine.run("login", BROWSER=machine.browser, **left_over)
    assert done.code == 0
    assert HIDES in done.err
    assert "stored in: file" in done.out
    assert HIDES in machine.run("status", **left_over).err
    piped = machine.run("token", **left_over)
    assert (piped.out, piped.err) == (f"{TOKEN}\n", "")
    for command in (("token",), ("export",), ("exec", "--", "true"), ("whoami",)):
        with Typist(machine.command(*command), machine.environ | left_over) as user:
            assert user.end() in {0, 3, 5}
            assert HIDES in user.screen
    machine.run("logout", **left_over)
    assert machine.run("status", **left_over).err == ""


def test_advice_for_a_machine_without_keychain_and_configuration_works_step_by_step(tmp_path: Path) -> None:
    names = ("ANTHROPIC_", "AWS_", "GOOGLE_", "CLOUDSDK_", "FRESHKEY_", "DBUS_", "DISPLAY", "WAYLAND_DISPLAY", "XDG_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    environ |= {"HOME": str(tmp_path), "FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path / "s")}

    def run(*argv: str) -> Done:
        return finished([sys.executable, "-m", "freshkey", *argv], environ)

    assert "then run: freshkey status\n" in run("status").err
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    config.write_text('default = "me"\n[profiles.me]\nprovider = "claude_oauth"\n')
    done = run("status")
    assert 'set store = "file"' in done.err
    assert "then run: freshkey login me --api-key" in done.err
    for command in ("token", "refresh", "whoami", "export"):
        assert (run(command).code, run(command).error_code) == (3, "no-credential-found")
    assert (run("logout").code, run("explain").code) == (0, 0)
    config.write_text(config.read_text() + 'store = "file"\n')
    assert run("status").err.startswith("me: not signed in. Run: freshkey login me --api-key. Or set client_id")
    login = [sys.executable, "-m", "freshkey", "login", "me", "--api-key"]
    subprocess.run(login, env=environ, input=f"{KEY}\n", capture_output=True, text=True, check=True)
    assert run("token").out == f"{KEY}\n"


KEY = "sk-ant-api03-of-the-environment-0123"
COPY = 'import os; print(input(), os.environ["ANTHROPIC_API_KEY"][-4:], os.environ.get("ANTHROPIC_AUTH_TOKEN"))'


def test_exec_asks_once_about_a_found_key_and_leaves_further_input_to_the_program(machine: Machine) -> None:
    machine.sign_in()
    command = machine.command("exec", "me", "--", sys.executable, "-c", COPY)
    with Typist(command, machine.environ | {"ANTHROPIC_API_KEY": KEY}) as user:
        user.read_until("[y/N]")
        user.type("y\nfor the program\n")  # typed ahead, and not lost
        assert user.end() == 0
        assert "for the program 0123 None" in user.screen
        assert KEY not in user.screen
    done = machine.run("token", ANTHROPIC_API_KEY=KEY)
    assert (done.out, done.err) == (f"{KEY}\n", "")
