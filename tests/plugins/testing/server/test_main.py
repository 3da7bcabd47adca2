"""The authorization server as a program: the profile that it prints, what it tells, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from freshkey_testing.server.__main__ import main
from freshkey_testing.server.routes import urls_at


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "freshkey_testing.server", "acme", "--lifetime", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def printed(program: subprocess.Popen[str]) -> str:
    """Return the lines before what the server does."""
    assert program.stdout is not None
    lines: list[str] = []
    while not lines or "until Ctrl-C" not in lines[-1]:
        lines.append(program.stdout.readline())
        assert lines[-1], "the program ended"
    return "".join(lines)


def test_it_prints_a_profile_then_what_it_does_and_ends_quietly(program: subprocess.Popen[str]) -> None:
    text = printed(program)
    profile = tomllib.loads(text)["profiles"]["acme"]
    assert (profile["provider"], profile["allow_insecure_loopback"]) == ("acme", True)
    assert text.startswith("# Add these lines to ")
    assert "config.toml:" in text

    renewal = f"grant_type=refresh_token&refresh_token=made-up&client_id={profile['client_id']}".encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urls_at(profile["issuer"]).token, renewal, timeout=10)  # noqa: S310  loopback
    refused.value.close()
    assert program.stdout is not None
    assert program.stdout.readline().startswith("# refresh_token.unknown")

    if sys.platform != "win32":
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=30) == 0
        assert program.stderr is not None
        assert program.stderr.read() == ""


@pytest.mark.parametrize(
    "given",
    [[], ["a b"], ['a"]\nx'], ["acme", "--lifetime", "0"], ["acme", "--lifetime", "nan"], ["acme", "--lifetime", "x"]],
)
def test_what_cannot_be_is_a_usage_error(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert "usage: python -m freshkey_testing.server" in capsys.readouterr().err
