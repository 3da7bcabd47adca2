"""The kit passes an observer that meets the contract, and fails one that violates any part of it."""

from __future__ import annotations

import pytest

from freshkey_testing import ObserverContract
from kit_runs import failed, failures, run


pytest_plugins = ["pytester"]

GOOD = """
import pytest
from freshkey import Profile
from freshkey.errors import ProviderRefused
from freshkey.hooks import hookimpl
from freshkey_testing import ObserverContract
from freshkey_testing.observer_stage import NoSettings


class Audit:
    def __init__(self, path):
        self.path = path

    def note(self, text):
        with self.path.open("a") as log:
            log.write(text)

    def watch(self, hook, profile, credential=None):
        if profile is not None and profile.name == "forbidden":
            raise ProviderRefused("this profile is not allowed", hint="Use another profile")
        answer = yield
        self.note(f"{hook} {type(answer).__name__}")
        return answer

    @hookimpl(wrapper=True)
    def describe(self, profile, credential):
        return (yield from self.watch("describe", profile, credential))

    @hookimpl(wrapper=True)
    def acquire(self, profile, source):
        return (yield from self.watch("acquire", profile))

    @hookimpl(wrapper=True)
    def refresh(self, profile, credential):
        return (yield from self.watch("refresh", profile, credential))

    @hookimpl(wrapper=True)
    def store(self, profile):
        return (yield from self.watch("store", profile))


class Broken(Audit):
{broken}

class TestAudit(ObserverContract):
    deadline = 5.0

    @pytest.fixture
    def observer(self, tmp_path):
        return Broken(tmp_path / "audit.log")

    @pytest.fixture
    def writes_to(self, tmp_path):
        return [tmp_path / "audit.log"]

    @pytest.fixture
    def refused(self, tmp_path):
        return Profile(name="forbidden", provider="stage", settings=NoSettings(), state_dir=tmp_path)
"""


def refresh(body: str, more: str = "") -> str:
    """Return the code of a hook for renewals with this body."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return f"\n    @hookimpl(wrapper=True)\n    def refresh(self, profile, credential{more}):\n{lines}\n"


def watch(body: str) -> str:
    """Return the code of what all hooks do."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return f"\n    def watch(self, hook, profile, credential=None):\n{lines}\n"


FORBIDDEN = "if profile is not None and profile.name == 'forbidden':\n    raise "
BOTH = "test_answers_pass_unchanged test_errors_pass_unchanged"

BREAKS: dict[str, tuple[str, str, str]] = {
    "does not wrap": (
        "\n    @hookimpl\n    def refresh(self, profile, credential):\n        return None\n",
        "test_it_fits",
        "*freshkey refuses it*wrapper=True*",
    ),
    "a wrong argument": (refresh("return (yield)", ", token"), "test_it_fits", "*freshkey refuses it*token*"),
    "changes the answer": (
        refresh("yield\nreturn credential"),
        "test_answers_pass_unchanged",
        "*refresh: it changes the answer: return what its yield gave*",
    ),
    "loses the answer": (
        "\n    @hookimpl(wrapper=True)\n    def describe(self, profile, credential):\n        yield\n",
        "test_answers_pass_unchanged",
        "*describe: it loses the answer: return what its yield gave*",
    ),
    "raises after the yield": (
        refresh("yield\nraise KeyError('account')"),
        "test_answers_pass_unchanged",
        "*refresh: it raises KeyError after its yield*refuse before the yield*",
    ),
    "a mistake before the yield": (
        refresh("{}['account']\nreturn (yield)"),
        BOTH,
        "*refresh: *failed before the refresh hook (KeyError*raise an error of freshkey.errors before the yield*",
    ),
    "does not yield": (refresh("if False:\n    yield\nreturn credential"), BOTH, "*refresh: *yield exactly once*"),
    "refuses everything": (
        refresh("raise ProviderRefused('not allowed', hint='Ask')\nyield"),
        BOTH,
        "*refresh: it refuses the profile 'allowed'*fixture profile*",
    ),
    "swallows errors": (
        refresh("try:\n    return (yield)\nexcept Exception:\n    return credential"),
        "test_errors_pass_unchanged",
        "*refresh: it turns an error of the provider into an answer*",
    ),
    "replaces errors": (
        refresh("try:\n    return (yield)\nexcept Exception:\n    raise ProviderRefused('no', hint='x') from None"),
        "test_errors_pass_unchanged",
        "*refresh: it raises ProviderRefused in place of the provider's error*",
    ),
    "is slow": (
        refresh("import time; time.sleep(2.1)\nreturn (yield)"),
        "test_it_costs_no_time",
        "*refresh: the call took * s*do slow work on another thread*",
    ),
    "hangs": (
        refresh("import threading; threading.Event().wait(30)\nreturn (yield)"),
        "test_it_costs_no_time",
        "*still running after 5 s, in refresh (*give each wait there a time limit*",
    ),
    "prints a token": (
        refresh("print(credential.access_token.reveal())\nreturn (yield)"),
        "test_no_secret_is_shown",
        "*refresh: it shows a secret in stdout: never show a credential's fields*",
    ),
    "logs a token": (
        refresh("import logging\nlogging.getLogger('x').debug('%s', credential.access_token.reveal())\nreturn (yield)"),
        "test_no_secret_is_shown",
        "*refresh: it shows a secret in the log*",
    ),
    "writes a token": (
        refresh("answer = yield\nself.note(answer.refresh_token.reveal().encode().hex())\nreturn answer"),
        "test_no_secret_is_shown",
        "*refresh: it shows a secret in the file *audit.log*",
    ),
    "writes elsewhere": (
        refresh("self.path.with_name('other').write_text('x')\nreturn (yield)"),
        "test_no_secret_is_shown",
        "*refresh: it writes to *other: name that place in the fixture writes_to*",
    ),
    "refuses without a hint": (
        watch(f"{FORBIDDEN}ProviderRefused('not allowed')\nreturn (yield)"),
        "test_a_refusal_is_a_clear_error",
        "*its refusal has no hint*",
    ),
    "refuses with any error": (
        watch(f"{FORBIDDEN}PermissionError('not allowed')\nreturn (yield)"),
        "test_a_refusal_is_a_clear_error",
        "*such as ProviderRefused*",
    ),
    "refuses too late": (
        watch(f"answer = yield\n{FORBIDDEN}ProviderRefused('not allowed', hint='Use another profile')\nreturn answer"),
        "test_a_refusal_is_a_clear_error",
        "*is not refused by any hook: raise before the yield*",
    ),
}


def test_a_good_observer_passes_without_a_skip(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(pytester, monkeypatch, GOOD.replace("{broken}", "    pass\n"))
    assert failed(result) == set()
    assert result.parseoutcomes().keys() == {"passed"}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_observer_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    code, caught_by, sentence = BREAKS[broken]
    only = ("-k", " or ".join(caught_by.split()))
    result = run(pytester, monkeypatch, GOOD.replace("{broken}", code), *only)
    assert failed(result) == set(caught_by.split())
    result.stdout.fnmatch_lines([sentence])


@pytest.mark.parametrize("broken", ["does not wrap", "a wrong argument"])
def test_what_does_not_fit_fails_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    assert failures(pytester, monkeypatch, GOOD.replace("{broken}", BREAKS[broken][0])) == {"test_it_fits"}


def test_without_a_hook_the_mark_is_named(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GOOD.replace("{broken}", "    pass\n").replace('Broken(tmp_path / "audit.log")', "object()")
    result = run(pytester, monkeypatch, source)
    assert failed(result) == {"test_it_fits"}
    result.stdout.fnmatch_lines(["*does not wrap any hook*hookimpl(wrapper=True)*"])


def test_without_an_observer_the_fixture_is_named(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from freshkey_testing import ObserverContract\nclass TestMine(ObserverContract): pass\n"
    result = run(pytester, monkeypatch, source)
    assert failed(result) == {"test_it_fits"}
    result.stdout.fnmatch_lines(["*override the fixture observer to return*"])


def test_a_heavy_import_is_named(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        heavy_observer="import httpx\nfrom freshkey.hooks import hookimpl\n"
        "@hookimpl(wrapper=True)\ndef refresh(profile):\n    return (yield)\n"
    )
    source = (
        "import heavy_observer, pytest\nfrom freshkey_testing import ObserverContract\n"
        "class TestMine(ObserverContract):\n"
        "    @pytest.fixture\n    def observer(self):\n        return heavy_observer\n"
    )
    result = run(pytester, monkeypatch, source)
    assert failed(result) == {"test_its_import_is_cheap"}
    result.stdout.fnmatch_lines(["*importing the observer also imports*httpx*: import it inside*"])


def test_every_check_fails_for_some_observer() -> None:
    checks = {name for name in dir(ObserverContract) if name.startswith("test_")}
    broken = {name for _, caught_by, _ in BREAKS.values() for name in caught_by.split()}
    assert checks == {*broken, "test_its_import_is_cheap"}
