"""What a test says about another program, whose credential a provider reads."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen


@frozen(kw_only=True)
class Lender:
    """Plays the program that keeps a credential which freshkey only reads.

    Attributes:
        renew: Lets the program get another credential, such as by writing a newer token into its file.
        remove: Lets the user sign out of the program, such as by deleting the file.
    """

    renew: Callable[[], object]
    remove: Callable[[], object]
