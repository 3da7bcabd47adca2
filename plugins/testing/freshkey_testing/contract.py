"""What makes a contract kit a contract: a subclass may add tests, but cannot replace or remove any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final


_HOW: Final = 'known_failures = {{"{name}": "why it fails"}}'


class Contract:
    """Base of the contract kits.

    A subclass provides fixtures and may add tests. Replacing, removing or marking a test of the kit raises `TypeError`
    when the class is created. If a check fails for a reason that you cannot remove yet, name both::

        class TestMine(ProviderContract):
            known_failures = {"test_what_has_ended_can_be_ended_again": "the vendor's server forgets tokens at once"}

    Attributes:
        known_failures: Checks of this class that fail, and why, by name; ``test_it[case]`` for one case of a check.
            They are reported as expected failures, and a run fails when one of them passes: then remove it.
    """

    known_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:  # noqa: ANN401  passed through unchanged
        super().__init_subclass__(**arguments)
        tests = _contract_tests(cls)
        replaced = sorted(name for name, test in tests.items() if getattr(cls, name, None) is not test)
        if replaced:
            raise TypeError(
                f"{cls.__name__} replaces {', '.join(replaced)} of its contract kit, which is not allowed:"
                f" rename your test, or, if a check of the kit cannot pass yet, say so in the class:"
                f" {_HOW.format(name=replaced[0])}"
            )
        marked = sorted(name for name, test in tests.items() if _unmark(test))
        if marked:
            raise TypeError(
                f"{cls.__name__} marks {', '.join(marked)} of its contract kit, for all classes that have it:"
                f" say in the class {_HOW.format(name=marked[0])}"
            )
        _check_known(cls, tests)


def known_failure(cls: type, test: str, case: str) -> str | None:
    """Return why a check of a class is known to fail; None if it is not.

    Args:
        cls: A subclass of `Contract`.
        test: Name of the check.
        case: The same, with the parameters of the case.
    """
    known: Mapping[str, str] = getattr(cls, "known_failures", {})
    return known.get(case, known.get(test))


def _check_known(cls: type[Contract], tests: Mapping[str, object]) -> None:
    for name, reason in cls.known_failures.items():
        if name.partition("[")[0] not in tests:
            raise TypeError(f"{cls.__name__}.known_failures names {name}, which is not a check of its contract kit")
        if not reason.strip():
            raise TypeError(f"{cls.__name__}.known_failures does not say why {name} fails")


def _contract_tests(cls: type) -> dict[str, object]:
    """Return the tests defined by the freshkey kits among the bases of `cls`."""
    kits = [
        base
        for base in cls.__mro__[1:]
        if issubclass(base, Contract) and base.__module__.startswith("freshkey_testing.")
    ]
    return {name: test for kit in reversed(kits) for name, test in vars(kit).items() if name.startswith("test_")}


def _unmark(test: object) -> bool:
    """Take marks away that would change whether a check counts, and return whether there were any."""
    marks = list(getattr(test, "pytestmark", ()))
    kept = [mark for mark in marks if mark.name not in ("skip", "skipif", "xfail")]
    if len(kept) < len(marks):
        test.pytestmark = kept  # type: ignore[attr-defined]  # a function, which pytest marked
    return len(kept) < len(marks)
