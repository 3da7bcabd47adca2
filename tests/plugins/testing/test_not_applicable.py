"""A check that does not apply passes without being run, one that cannot be run is counted; what is left out fails."""

from __future__ import annotations

import pytest

import one_provider
from kit_runs import failed, run
from one_world import script


pytest_plugins = ["pytester"]

CHECKS = """
import pytest
from freshkey_testing.not_applicable import not_applicable

@pytest.fixture
def nothing():
    not_applicable("there is nothing of the kind")

def test_with_a_fixture(nothing):
    assert False, "it ran"

@pytest.mark.parametrize("number", range(2))
def test_within(number):
    not_applicable("it cannot do that")
    assert False, "it ran"

def test_another():
    pass
"""

KIT = f"""
import attrs
import pytest
import {one_provider.__name__}
from freshkey_testing import ProviderContract, ScriptedUser
from {script.__module__} import script

class TestIt(ProviderContract):
    @pytest.fixture
    def provider(self):
        return one_provider

    @pytest.fixture
    def profile(self, provider, freshkey_profile, freshkey_http, monkeypatch):
        monkeypatch.setenv("ONE_KEY", "one-key-0123456789abcdef")
        monkeypatch.setenv("ONE_ROLE", "reader")
        script(freshkey_http)
        return freshkey_profile(provider)

    @pytest.fixture
    def users(self):
        return {{"sign-in": ScriptedUser(paste="a-pasted-code-1")}}
"""


def test_it_passes_and_is_counted_by_reason(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(pytester, monkeypatch, CHECKS)

    assert result.parseoutcomes() == {"passed": 4}
    result.stdout.fnmatch_lines(
        [
            "1 check of the contract had nothing to look at: there is nothing of the kind",
            "2 checks of the contract had nothing to look at: it cannot do that",
            "4 passed in *",
        ]
    )


def test_without_the_plugin_it_is_a_skip(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(pytester, monkeypatch, CHECKS, "-p", "no:freshkey_testing.pytest_plugin")

    assert result.parseoutcomes() == {"passed": 1, "skipped": 3}


LEFT = """
import pytest
from freshkey_testing.not_applicable import leave_to

@pytest.fixture
def broken(request):
    leave_to(request, "test_first")
    pytest.fail("it is broken", pytrace=False)

class TestIt:
    def test_first(self, broken):
        pass

    @pytest.mark.parametrize("number", range(2))
    def test_second(self, broken, number):
        assert False, "it ran"
"""


@pytest.mark.parametrize(
    ("options", "counts", "line"),
    [
        ((), {"errors": 1, "unchecked": 2}, "2 checks of the contract could not be run: see the failure of test_first"),
        (("-k", "second"), {"errors": 2, "deselected": 1}, "it is broken"),
    ],
    ids=["both", "alone"],
)
def test_what_another_check_says_is_not_run(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    counts: dict[str, int],
    line: str,
) -> None:
    result = run(pytester, monkeypatch, LEFT, "-ra", *options)

    assert (result.parseoutcomes(), result.ret) == (counts, 1)
    result.stdout.fnmatch_lines([line])


def test_without_the_plugin_what_is_not_run_is_a_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, LEFT, "-p", "no:freshkey_testing.pytest_plugin")

    assert result.parseoutcomes() == {"errors": 1, "skipped": 2}


NO_SIGN_IN = """
    @pytest.fixture
    def signed_in(self):
        return None
"""
ENDS = """
    @pytest.fixture
    def not_renewable(self):
        return None

    @pytest.fixture
    def held(self, signed_in):
        return attrs.evolve(signed_in, refresh_token=None)
"""


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        (NO_SIGN_IN, "the fixture signed_in returns None, but the provider has an owned source"),
        (ENDS, "the fixture not_renewable returns None, but the sign-in cannot be renewed: return it"),
    ],
    ids=["signed_in", "not_renewable"],
)
def test_what_the_description_does_not_declare_is_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, left_out: str, sentence: str
) -> None:
    result = run(pytester, monkeypatch, KIT + left_out, "-k", "needs_the_user_says_so")

    assert failed(result) == {"test_a_renewal_that_needs_the_user_says_so"}
    result.stdout.fnmatch_lines([sentence])
