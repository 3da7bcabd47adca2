"""Tests of a contract kit cannot be replaced or removed."""

from __future__ import annotations

import pytest

from freshkey_testing import StoreContract
from freshkey_testing.contract import Contract
from kit_runs import run


pytest_plugins = ["pytester"]


def test_a_subclass_may_add_tests_and_fixtures() -> None:
    class Mine(StoreContract):
        def test_something_else(self) -> None: ...

        @pytest.fixture
        def make_store(self) -> object:
            return object

    assert issubclass(Mine, Contract)


def test_a_test_of_the_kit_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match=r"Mine.*test_it_has_a_name.*known_failures = \{"):

        class Mine(StoreContract):
            def test_it_has_a_name(self) -> None:  # type: ignore[override]
                pass


def test_a_test_of_the_kit_cannot_be_removed() -> None:
    with pytest.raises(TypeError, match="test_it_has_a_name"):

        class Mine(StoreContract):
            test_it_has_a_name = None  # type: ignore[assignment]


def test_a_mixin_cannot_replace_a_test() -> None:
    class Mixin:
        def test_it_has_a_name(self) -> None: ...

    with pytest.raises(TypeError, match="test_it_has_a_name"):

        class Mine(Mixin, StoreContract):  # type: ignore[misc]
            pass


@pytest.mark.parametrize("mark", [pytest.mark.xfail(reason="no time"), pytest.mark.skip(reason="no time")])
def test_a_mark_does_not_let_a_test_be_replaced(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(TypeError, match="test_it_has_a_name"):

        class Mine(StoreContract):
            @mark
            def test_it_has_a_name(self) -> None:  # type: ignore[override]
                pass


@pytest.mark.parametrize("mark", [pytest.mark.xfail(reason="no time"), pytest.mark.skip(reason="no time")])
def test_a_mark_on_the_test_of_the_kit_is_refused_and_removed(mark: pytest.MarkDecorator) -> None:
    before = getattr(StoreContract.test_it_has_a_name, "pytestmark", [])
    with pytest.raises(TypeError, match=r"Mine marks test_it_has_a_name.*known_failures = \{"):

        class Mine(StoreContract):
            test_it_has_a_name = mark(StoreContract.test_it_has_a_name)

    assert getattr(StoreContract.test_it_has_a_name, "pytestmark", []) == before


def test_marks_of_the_kit_itself_stay() -> None:
    class Mine(StoreContract):
        pass

    assert [mark.name for mark in Mine.test_what_is_saved_is_loaded.pytestmark] == ["parametrize"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"test_it_has_a_nam": "no time"}, "test_it_has_a_nam, which is not a check of its contract kit"),
        ({"test_of_mine": "no time"}, "test_of_mine, which is not a check"),
        ({"test_it_has_a_name": " "}, "does not say why test_it_has_a_name fails"),
    ],
)
def test_what_is_known_to_fail_is_named_with_a_reason(known: dict[str, str], sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        type("Mine", (StoreContract,), {"known_failures": known, "test_of_mine": lambda _: None})


KNOWN = """
import pytest
from freshkey_testing.contract import Contract


class {kit}(Contract):
    def test_fails(self):
        assert False

    @pytest.mark.parametrize("number", [1, 2])
    def test_fails_once(self, number):
        assert number == 1

    @pytest.fixture
    def broken(self):
        assert False

    def test_has_a_broken_fixture(self, broken):
        pass


{kit}.__module__ = "freshkey_testing.{kit}"


class TestKnown({kit}):
    known_failures = {{
        "test_fails": "the vendor promised a fix",
        "test_fails_once[2]": "2 is too much",
        "test_has_a_broken_fixture": "no server yet",
    }}


class TestOther({kit}):
    pass


class TestMended({kit}):
    known_failures = {{"test_fails_once": "both failed"}}
"""


def test_known_failures_are_expected_in_their_class_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, KNOWN.format(kit="Kit"), "-rxX")

    result.stdout.fnmatch_lines(
        [
            "*strict*both failed*",
            "XFAIL *TestKnown::test_fails - the vendor promised a fix",
            "XFAIL *TestKnown::test_fails_once[[]2[]] - 2 is too much",
            "XFAIL *TestKnown::test_has_a_broken_fixture - no server yet",
        ]
    )
    # In the others all fail; the case that passes fails where both were named.
    result.assert_outcomes(xfailed=4, passed=2, failed=4, errors=2)


NOTHING = """
from freshkey_testing.contract import Contract
from freshkey_testing.not_applicable import not_applicable


class {kit}(Contract):
    def test_revokes(self):
        not_applicable("the provider cannot revoke")


{kit}.__module__ = "freshkey_testing.{kit}"


class TestKnown({kit}):
    known_failures = {{"test_revokes": "the server forgets"}}
"""


def test_a_known_failure_where_there_is_nothing_to_look_at_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, NOTHING.format(kit="Kit"))
    result.stdout.fnmatch_lines(
        ["*nothing fails here (the provider cannot revoke): remove the line of known_failures*"]
    )
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize("depth", [1, 2])
def test_subclasses_of_a_subclass_cannot_replace_a_test(depth: int) -> None:
    class Child(StoreContract):
        pass

    parent: type = Child if depth == 1 else type("Grandchild", (Child,), {})
    with pytest.raises(TypeError, match="test_a_probe_leaves_nothing"):
        type("Replacing", (parent,), {"test_a_probe_leaves_nothing": None})
