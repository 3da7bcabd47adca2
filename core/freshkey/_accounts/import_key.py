"""Takes over a key that another program keeps in the operating system's keychain, and deletes it there at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from attrs import evolve, frozen

from freshkey._accounts import login as login_module
from freshkey._renewal import reading
from freshkey._stores.keychain.prompts import user_present
from freshkey.errors import ConfigurationError, StoreError, StoreUnavailable, about, frameless
from freshkey.model.credential import Credential
from freshkey.model.interaction import NonInteractive, Reporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret


if TYPE_CHECKING:
    import threading

    from freshkey._renewal.managed import ManagedCredential
    from freshkey._stores.keychain.store import KeyringItems

FORGETFUL: Final = "memory"
"""The store that keeps nothing beyond its process; what is deleted elsewhere would be gone."""


@frozen(kw_only=True)
class ForeignItem:
    """An item of the keychain that is not freshkey's own."""

    name: str
    _items: KeyringItems

    @classmethod
    def of(cls, profile: Profile, service: str, username: str, settings: Mapping[str, object]) -> Self:
        """Return the item, which is not looked at yet; `settings` is ``[stores.keyring]``: how the keychain is reached.

        Raises:
            ConfigurationError: It is one of freshkey's own, or a setting cannot be used.
        """
        from freshkey._stores.keychain.store import OWN_SERVICE, keychain_items

        name = f"the keychain item {service!r} of {username!r}"
        if service.startswith(OWN_SERVICE):
            raise ConfigurationError(f"{name} is one of freshkey's own", profile=profile.name, hint="Name another one")
        items = keychain_items(evolve(profile, store_settings=settings), service, username)
        return cls(name=name, items=items)

    @frameless
    def read(self) -> Secret | None:
        """Return what it holds, without a line end; None if it is not there or empty.

        Raises:
            StoreUnavailable: The keychain does not answer.
        """
        value = self._items.get("")
        return Secret(value.removesuffix("\n")) if value else None

    def delete(self, key: Secret) -> None:
        """Delete it, if it still holds `key`.

        Raises:
            StoreUnavailable: It is still there, and why.
        """
        if self.read() != key:
            raise StoreUnavailable("it was changed meanwhile")
        self._items.delete("")
        if self.read() is not None:
            raise StoreUnavailable("there is another one of that name")


class _Giver:
    """An interaction that hands in what an item holds, and answers nothing else."""

    def __init__(self, item: ForeignItem, profile: str, reporter: Reporter) -> None:
        nobody = NonInteractive(profile, reporter)
        self.progress, self.line, self.notice = nobody.progress, nobody.line, nobody.notice
        self.confirm, self.open_url, self.show_device_code = nobody.confirm, nobody.open_url, nobody.show_device_code
        self._item = item
        self.key: Secret | None = None

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret:  # noqa: ARG002  protocol
        """Read the item, which must be there."""
        self.progress(f"Reading {self._item.name}")
        self.key = self._item.read()
        if self.key is None:
            raise ConfigurationError(f"there is nothing in {self._item.name}", hint="Check both names")
        return self.key


def import_key(managed: ManagedCredential, item: ForeignItem, reporter: Reporter) -> Credential:
    """Keep the key of another program's item for a profile, read it back, and only then delete the item.

    Raises:
        FreshkeyError: It was not possible; the item is still there.
    """
    with about(managed.context.profile.name):
        context = managed.context
        if not context.profile.bare and context.store.kind == FORGETFUL:
            message = f"the store {FORGETFUL!r} forgets the key, and the only other copy would be deleted"
            raise ConfigurationError(message, hint="Choose another store")
        giver = _Giver(item, context.profile.name, reporter)
        credential = login_module.sign_in(managed, pasted=True, interaction=giver)
        with user_present():
            stored = reading.stored_credential(context)
            if stored is None or not stored.authorizes_like(credential):
                flaw = f"the key is not in the store yet; {item.name} was left alone"
                raise StoreUnavailable(flaw, hint="Try again")
            reporter.progress(f"The key is kept in the store {context.store.kind}, and was read back")
            _delete(giver.key, item)
        reporter.progress(f"Deleted {item.name}")
        return credential


def _delete(key: Secret | None, item: ForeignItem) -> None:
    try:
        if key is not None:
            item.delete(key)
    except StoreError as error:
        problem = error.message
    else:
        return
    message = f"the key is kept, but {item.name} could not be deleted: {problem}"
    raise StoreUnavailable(message, hint="Delete it with the program that made it")
