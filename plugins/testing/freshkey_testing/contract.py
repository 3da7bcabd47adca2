"""What makes a contract kit a contract: a subclass may add to it, but not bend it."""

from __future__ import annotations

from typing import Any


class Contract:
    """Base of the contract kits.

    A subclass provides fixtures and may add tests. A test of the kit can neither be replaced nor removed: that is an
    error when the class is made. Where a check fails for a reason that cannot be mended now, say so in the open::

        @pytest.mark.xfail(reason="the vendor's server has no revocation yet")
        def test_something(self, held):
            super().test_something(held)
    """

    def __init_subclass__(cls, **arguments: Any) -> None:  # noqa: ANN401  passed on as they come
        super().__init_subclass__(**arguments)
        bent = sorted(name for name, test in _contract_tests(cls).items() if not _kept(getattr(cls, name, None), test))
        if bent:
            raise TypeError(
                f"{cls.__name__} replaces {', '.join(bent)} of its contract kit. Tests of a contract are not replaced:"
                " rename your own test, or mark it with pytest.mark.xfail(reason=…) and call the original"
            )


def _contract_tests(cls: type) -> dict[str, object]:
    """Return the tests that freshkey's own kits among the bases of `cls` define."""
    kits = [
        base
        for base in cls.__mro__[1:]
        if issubclass(base, Contract) and base.__module__.startswith("freshkey_testing.")
    ]
    return {name: test for kit in reversed(kits) for name, test in vars(kit).items() if name.startswith("test_")}


def _kept(found: object, original: object) -> bool:
    return found is original or any(
        mark.name == "xfail" and mark.kwargs.get("reason") for mark in getattr(found, "pytestmark", ())
    )
