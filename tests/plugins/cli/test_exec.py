"""exec: what the program gets, what it does not get, and what is refused before it runs (LEK-4, LEK-7)."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence

import pytest
from attrs import frozen

from cli_doubles import REFRESH_TOKEN, TOKEN, FakeKeeper, Run, api_key, token
from freshkey import errors
from freshkey_cli import exec as exec_command
from freshkey_cli import exec_process
from freshkey_testing import ManualClock


@frozen
class Ran:
    """A recorded call that would have run a program."""

    words: Sequence[str]
    environ: Mapping[str, str]
    kept: Collection[int]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Ran]:
    """Return the recorded calls that would have replaced this process."""
    runs: list[Ran] = []

    def replace(words: Sequence[str], environ: Mapping[str, str], kept: Collection[int]) -> int:
        runs.append(Ran(words, environ, kept))
        return 0

    monkeypatch.setattr(exec_process, "replace", replace)
    # Where a test's time limit is a thread, as on Windows, this would wait for it.
    monkeypatch.setattr(exec_process, "wait_for_renewals", lambda: None)
    return runs


def test_credential_replaces_all_variables_of_its_family(run: Run, keeper: FakeKeeper, ran: list[Ran]) -> None:
    keeper.credential = token(lifetime=7200.0)
    done = run("exec", "me", "--", "tool", APP_KEY="another", APP_PROFILE="another", PATH="/bin", APP_URL="mine")

    assert (done.code, done.out, done.err) == (0, "", "")
    environ = dict(ran[0].environ)
    assert environ.pop("FRESHKEY_CONFIG_DIR")
    assert environ.pop("FRESHKEY_STATE_DIR")
    assert environ == {"PATH": "/bin", "APP_URL": "mine", "APP_TOKEN": TOKEN}
    assert REFRESH_TOKEN not in environ.values()
    assert keeper.closed


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (["exec"], ["tool"]),
        (["exec", "other"], ["tool", "--json", "-x", "--", "y", ""]),
        (["--json", "exec", "other"], ["tool", "exec"]),
        (["exec"], ["--version"]),
    ],
)
def test_words_after_the_dashes_belong_to_the_program(
    run: Run, keeper: FakeKeeper, ran: list[Ran], own: list[str], words: list[str]
) -> None:
    keeper.credential = token(lifetime=60.0)
    done = run(*own, "--", *words)

    assert (done.code, ran[0].words) == (0, words)
    assert keeper.asked == [("get", "other" if "other" in own else "me", 0.0)]
    assert (done.err == "") == ("--json" in own)


@pytest.mark.parametrize("argv", [["exec"], ["exec", "me"], ["exec", "me", "--"], ["exec", "me", "tool", "--", "x"]])
def test_missing_command_is_a_usage_error(run: Run, keeper: FakeKeeper, argv: list[str]) -> None:
    done = run(*argv)

    assert (done.code, done.out, keeper.asked) == (2, "", [])
    assert done.err.startswith("usage: freshkey exec [options] [PROFILE] -- COMMAND [ARG ...]\n")
    assert run(*argv[:1], "--json", *argv[1:]).error["code"] == "usage"


def test_min_ttl_reaches_the_keeper(run: Run, keeper: FakeKeeper, ran: list[Ran]) -> None:
    run("exec", "--min-ttl", "600", "--", "tool")

    assert keeper.asked == [("get", "me", 600.0)]


@pytest.mark.parametrize(
    ("lifetime", "age", "facts"),
    [
        (3599.0, 0.0, ["59 min 59 s"]),
        (7200.0, 5400.0, ["30 min 0 s", "--min-ttl"]),
        (3601.0, 0.0, []),
        (None, 0.0, []),
    ],
)
@pytest.mark.usefixtures("ran")
def test_warns_if_the_credential_expires_soon(
    run: Run, keeper: FakeKeeper, lifetime: float | None, age: float, facts: list[str]
) -> None:
    clock = ManualClock()
    keeper.credential = token(lifetime=lifetime, obtained=clock.now(), clock=clock)
    clock.advance(age)
    err = run("exec", "--", "tool").err

    assert all(fact in err for fact in facts)
    assert bool(err) == bool(facts)
    assert ("--min-ttl" in err) == ("--min-ttl" in facts)
    assert run("exec", "--json", "--", "tool").err == ""


def test_credential_without_variables_runs_nothing(run: Run, keeper: FakeKeeper, ran: list[Ran]) -> None:
    keeper.credential = api_key()
    done = run("exec", "--", "tool")

    assert (done.code, done.error_code, ran) == (6, "no-environment-form", [])
    assert "freshkey export me --format headers" in done.err
    assert "name a variable in the profile" in done.err


@pytest.mark.parametrize("variable", [("A=B", "x"), ("", "x"), ("A B", "x"), ("APP_TOKEN", "canary\0x")])
def test_invalid_variables_are_refused(run: Run, keeper: FakeKeeper, ran: list[Ran], variable: tuple[str, str]) -> None:
    keeper.credential = token(variables=(variable,))
    done = run("exec", "--", "tool")

    assert (done.code, done.error_code, ran) == (5, "unprintable-credential", [])
    assert "canary" not in done.err


def test_values_may_span_several_lines(run: Run, keeper: FakeKeeper, ran: list[Ran]) -> None:
    keeper.credential = token(variables=(("APP_HEADERS", "a: b\nc: d"),))
    run("exec", "--", "tool")

    assert ran[0].environ["APP_HEADERS"] == "a: b\nc: d"


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.LoginRequired("x"), 3), (errors.StoreUnavailable("x"), 4), (errors.TransientError("x"), 5)],
)
def test_earlier_errors_keep_their_exit_codes(
    run: Run, keeper: FakeKeeper, ran: list[Ran], error: errors.FreshkeyError, code: int
) -> None:
    keeper.fails = error

    assert (run("exec", "--", "tool").code, ran) == (code, [])


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors cannot be passed on there")
def test_only_inherited_descriptors_are_kept(run: Run, keeper: FakeKeeper, ran: list[Ran]) -> None:
    reading, writing = os.pipe()
    try:
        os.set_inheritable(reading, True)
        assert run("exec", "--keep-fd", str(reading), "--", "tool").code == 0
        assert ran[0].kept == [reading]

        keeper.asked.clear()
        for other in (writing, 999_999, 2**70):
            done = run("exec", "--keep-fd", str(other), "--", "tool")
            assert (done.code, done.error_code, keeper.asked) == (6, "invalid-descriptor", [])
            assert str(other) in done.err
        assert run("exec", "--keep-fd", "2", "--", "tool").code == 2
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere, names of variables have a case")
def test_variables_of_any_case_are_replaced_on_windows() -> None:
    inherited = {"APP_TOKEN": "another", "App_Key": "another", "Freshkey_Passphrase": "correct horse", "PATH": "x"}

    assert exec_command._environment(inherited, {"APP_KEY"}, {"App_Token": TOKEN}) == {"PATH": "x", "App_Token": TOKEN}


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("touhc", "'touhc'"),
        ("sk-ant-api03-abcDEF123456", "(not shown)"),
        (r".\x.exe", repr(r".\x.exe")),
        (r"C:\no\such (x86)\x.exe", repr(r"C:\no\such (x86)\x.exe")),
    ],
)
def test_program_that_cannot_be_started_is_named(program: str, shown: str) -> None:
    assert exec_process._shown(program) == shown
