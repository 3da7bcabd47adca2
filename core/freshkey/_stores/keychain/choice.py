"""Which of several keychains holds the items of a profile: remembered once something is stored.

See docs/decisions.md, "A profile stays in the keychain that holds its sign-in".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from attrs import define, field

from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile
from freshkey._interprocess.notifier import harmless
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.backends import holds
from freshkey._stores.keychain.session import KEYCHAINS, TITLES, in_order
from freshkey.errors import StoreUnavailable, sign_in_command
from freshkey.model.profile import Profile


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Open = Callable[[str | None], "KeyringBackend"]
"""Opens a keychain by its name; None opens the only one of the platform."""

FIRST_ITEMS: Final = ("0.0", "1.0")
"""Names of the items of which one exists if anything is stored."""


@define
class Choice:
    """The keychain of one profile, or of one item of another program.

    Attributes:
        items: Service and user name of items of which one exists if anything is stored.
        profile: The profile, as a command line names it.
        current: The keychain that was opened last; None before, and where there is only one.
    """

    _items: Sequence[tuple[str, str]]
    _profile: str
    _file: StateFile | None = None
    current: str | None = field(init=False, default=None)

    @classmethod
    def of_profile(cls, profile: Profile, service: str) -> Choice:
        """Return the choice for the items of a profile; `service` is the prefix of their service names."""
        items = [(service + name, profile.key) for name in FIRST_ITEMS]
        file = StateFile(profile.state_dir, "keychain", f"{file_name(profile.key)}.json")
        return cls(items, profile.word, file)

    def open(self, opened: Open) -> KeyringBackend:
        """Return the keychain that holds the items, or else the session's own.

        Raises:
            StoreUnavailable: The keychain that holds them, or every keychain, is not available in this session.
        """
        order = in_order()
        if not order:
            return opened(None)
        known = self._remembered()
        if known is not None:
            try:
                return self._opened(known, opened)
            except StoreUnavailable as error:
                missing = error
            return self._instead(known, order, opened, missing)
        if self.current is None and (found := self._holder()) is not None:
            self._remember(found)
            return self._opened(found, opened)
        return self._best([self.current] if self.current else order, opened)

    def stored(self) -> None:
        """Remember the keychain, because something was stored in it."""
        if self.current is not None and self.current != self._remembered():
            self._remember(self.current)

    def _opened(self, name: str, opened: Open) -> KeyringBackend:
        backend = opened(name)
        self.current = name
        return backend

    def _best(self, names: Sequence[str], opened: Open) -> KeyringBackend:
        reasons = []
        for name in names:
            try:
                return self._opened(name, opened)
            except StoreUnavailable as error:
                reasons.append(error)
        raise reasons[0]

    def _instead(self, known: str, order: Sequence[str], opened: Open, missing: StoreUnavailable) -> KeyringBackend:
        """Return another keychain if the user signs in now: only the user can give up what is stored in the first."""
        try:
            other = self._best([name for name in order if name != known], opened)
        except StoreUnavailable:
            raise missing from None
        if prompts.policy().asker.present:
            return other
        raise StoreUnavailable(
            f"the sign-in is stored in {TITLES[known]}, which is not available in this session",
            hint=f"Start it, or run: {sign_in_command(self._profile)}",
            code="keychain-not-in-session",
        )

    def _holder(self) -> str | None:
        """Return the keychain in which a version that did not remember it stored the items, or None.

        Raises:
            TimeoutError: A keychain does not respond, so that it is not known.
        """
        try:
            return next((name for name in KEYCHAINS if any(holds(name, *item) for item in self._items)), None)
        except TimeoutError:
            # A keychain that hangs must not prevent a sign-in in another one.
            if prompts.policy().asker.present:
                return None
            raise

    def _remembered(self) -> str | None:
        name = self._file.read(lambda found: str(found["keychain"])) if self._file is not None else None
        return name if name in KEYCHAINS else None

    def _remember(self, name: str) -> None:
        if self._file is not None:
            with harmless("the choice of the keychain"):
                self._file.write({"keychain": name})
