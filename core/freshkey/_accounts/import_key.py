"""Import a key that another program stored in the operating system's keychain, then delete the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from freshkey._accounts import login as login_module
from freshkey._renewal import reading
from freshkey._stores.keychain.prompts import user_present
from freshkey._stores.options import FORGETFUL
from freshkey.errors import ConfigurationError, StoreError, StoreUnavailable, about, frameless
from freshkey.model.credential import Credential
from freshkey.model.interaction import NonInteractive, Reporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret


if TYPE_CHECKING:
    import threading

    from freshkey._renewal.managed import ManagedCredential
    from freshkey._stores.keychain.store import KeyringItems


@frozen(kw_only=True)
class ForeignItem:
    """A keychain item of another program."""

    name: str
    _items: KeyringItems

    @classmethod
    def of(cls, profile: Profile, service: str, username: str, settings: Mapping[str, object]) -> Self:
        """Return the item without accessing the keychain; `settings` is ``[stores.keyring]``.

        Raises:
            ConfigurationError: The item is one of freshkey's own, or a setting is invalid.
        """
        from freshkey._stores.keychain.store import OWN_SERVICE, keychain_items

        name = f"the keychain item {service!r} (username {username!r})"
        if service.lower().startswith(OWN_SERVICE):  # Windows ignores case
            raise ConfigurationError(
                f"{name} belongs to freshkey itself",
                profile=profile.name,
                hint="Specify an item that belongs to another program",
                code="reserved-keychain-item",
            )
        items = keychain_items(evolve(profile, store_settings=settings), service, username)
        return cls(name=name, items=items)

    @frameless
    def read(self) -> Secret | None:
        """Return its value without a trailing newline; None if the item is missing or empty.

        Raises:
            StoreUnavailable: The keychain cannot be read.
        """
        value = self._items.get("")
        return Secret(value.removesuffix("\n")) if value else None

    def delete(self, key: Secret) -> None:
        """Delete the item, if its value is still `key`.

        Raises:
            StoreUnavailable: The item was not deleted; the message says why.
        """
        if self.read() != key:
            raise StoreUnavailable("it has changed since it was read", code="original-not-deleted")
        self._items.delete("")
        if self.read() is not None:
            raise StoreUnavailable("another item has the same name", code="original-not-deleted")


class _Giver:
    """An interaction that provides the value of a keychain item, and is otherwise non-interactive."""

    def __init__(self, item: ForeignItem, profile: str, reporter: Reporter) -> None:
        base = NonInteractive(profile, reporter)
        self.progress, self.line, self.notice = base.progress, base.line, base.notice
        self.confirm, self.open_url, self.show_device_code = base.confirm, base.open_url, base.show_device_code
        self.read_text, self.choose = base.read_text, base.choose
        self._item = item
        self.key: Secret | None = None

    def require_attended(self) -> None:
        """Return: the item answers for the user."""

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret:  # noqa: ARG002  protocol
        """Read the item, as a provider may also ask for a key."""
        return self.read_secret(prompt)

    def read_secret(self, prompt: str) -> Secret:  # noqa: ARG002  protocol
        """Read the item, which must exist."""
        self.progress(f"Reading {self._item.name}")
        self.key = self._item.read()
        if self.key is None:
            raise ConfigurationError(
                f"{self._item.name} does not exist or is empty",
                hint="Check the service and the username",
                code="nothing-to-import",
            )
        return self.key


def import_key(managed: ManagedCredential, item: ForeignItem, reporter: Reporter) -> Credential:
    """Store the key from another program's item for a profile, read it back, and only then delete the item.

    Raises:
        FreshkeyError: The import failed; the item was not deleted.
    """
    with about(managed.context.profile.name):
        context = managed.context
        # An import would lose the only copy of the key.
        if not context.profile.bare and context.store.kind == FORGETFUL:
            message = f"cannot import into the store {FORGETFUL!r}: the key would be lost when this process ends"
            raise ConfigurationError(
                message,
                hint='Set store = "keyring" or store = "file" for the profile in config.toml',
                code="store-not-persistent",
            )
        giver = _Giver(item, context.profile.name, reporter)
        # Only the provider can tell whether the item can be a key.
        # See docs/decisions.md, "A key is imported as if the user had typed it".
        credential = login_module.sign_in(managed, pasted=True, replace=True, interaction=giver)
        with user_present():
            stored = reading.stored_credential(context)
            if stored is None or not stored.authorizes_like(credential):
                flaw = f"the key is not saved in the {context.store.kind} store yet; {item.name} was not deleted"
                raise StoreUnavailable(flaw, hint="Check the store, then import the key again", code="import-not-saved")
            reporter.progress(f"Saved the key in the {context.store.kind} store and verified it")
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
    message = f"the key was imported, but {item.name} could not be deleted: {problem}"
    raise StoreUnavailable(message, hint="Delete it with the program that created it", code="original-not-deleted")
