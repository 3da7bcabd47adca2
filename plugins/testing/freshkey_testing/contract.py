"""What makes a contract kit a contract: a subclass may add tests, but cannot replace or remove any."""

from __future__ import annotations

from typing import Any


class Contract:
    """Base of the contract kits.

    A subclass provides fixtures and may add tests. Replacing or removing a test of the kit raises `TypeError` when the
    class is created. If a check fails for a reason that you cannot fix yet, mark it::

        @pytest.mark.xfail(reason="the vendor's server has no revocation yet")
        def test_something(self, held):
            super().test_something(held)
    """

    def __init_subclass__(cls, **arguments: Any) -> None:  # noqa: ANN401  passed through unchanged
        super().__init_subclass__(**arguments)
        replaced = sorted(
            name for name, test in _contract_tests(cls).items() if not _kept(getattr(cls, name, None), test)
        )
        if replaced:
            raise TypeError(
                f"{cls.__name__} replaces {', '.join(replaced)} of its contract kit, which is not allowed:"
                " rename your test, or mark it with pytest.mark.xfail(reason=…) and call the original"
            )


def _contract_tests(cls: type) -> dict[str, object]:
    """Return the tests defined by the freshkey kits among the bases of `cls`."""
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
