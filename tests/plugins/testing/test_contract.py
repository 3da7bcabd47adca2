"""Tests of a contract kit cannot be replaced or removed."""

from __future__ import annotations

import pytest

from freshkey_testing import StoreContract
from freshkey_testing.contract import Contract


def test_a_subclass_may_add_tests_and_fixtures() -> None:
    class Mine(StoreContract):
        def test_something_else(self) -> None: ...

        @pytest.fixture
        def make_store(self) -> object:
            return object

    assert issubclass(Mine, Contract)


def test_a_test_of_the_kit_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match=r"Mine.*test_it_has_a_name.*xfail\(reason"):

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


def test_skip_and_xfail_without_a_reason_are_refused() -> None:
    with pytest.raises(TypeError, match="test_it_has_a_name"):

        class Skips(StoreContract):
            @pytest.mark.skip(reason="no time")
            def test_it_has_a_name(self) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match="test_it_has_a_name"):

        class NoReason(StoreContract):
            @pytest.mark.xfail
            def test_it_has_a_name(self) -> None:  # type: ignore[override]
                pass


def test_xfail_with_a_reason_is_allowed() -> None:
    class Mine(StoreContract):
        @pytest.mark.xfail(reason="the vendor promised a fix")
        def test_it_has_a_name(self) -> None:  # type: ignore[override]
            pass

    assert "test_it_has_a_name" in vars(Mine)


@pytest.mark.parametrize("depth", [1, 2])
def test_subclasses_of_a_subclass_cannot_replace_a_test(depth: int) -> None:
    class Child(StoreContract):
        pass

    parent: type = Child if depth == 1 else type("Grandchild", (Child,), {})
    with pytest.raises(TypeError, match="test_a_probe_leaves_nothing"):
        type("Replacing", (parent,), {"test_a_probe_leaves_nothing": None})
