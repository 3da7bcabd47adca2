"""What the demo needs: a server, a store and a profile, all temporary and removed at the end."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from attrs import frozen

from freshkey import Configuration
from freshkey.admin import CONFIG_DIR, STATE_DIR
from freshkey.admin import PROFILE as PROFILE_VARIABLE
from freshkey.errors import ConfigurationError, FreshkeyError, StoreError
from freshkey.plugin import CredentialStore, install_command


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_testing.demo.view import View
    from freshkey_testing.server import AuthorizationServer

PROVIDER: Final = "claude_oauth"
PACKAGE: Final = "freshkey-claude-oauth"
SOURCE: Final = "oauth"
"""Set explicitly, because an API key in the environment would take precedence."""
PROFILE: Final = "demo"
LIFETIME: Final = 10
"""Lifetime of the server's access tokens in seconds."""


class _DemoStore(CredentialStore, Protocol):
    """A store that can be emptied completely."""

    def forget(self) -> None:
        """Remove everything; call it with the lock held."""


@frozen(kw_only=True)
class Stage:
    """Everything the demo has set up.

    Attributes:
        server: The running authorization server.
        directory: Holds configuration and state.
        store_name: The store that holds the credential: ``keyring`` or ``file``.
    """

    server: AuthorizationServer
    directory: Path
    store_name: str

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment for a process that shares this stage."""
        inherited = {name: value for name, value in os.environ.items() if name != PROFILE_VARIABLE}
        return inherited | {CONFIG_DIR: str(self.directory), STATE_DIR: str(_state(self.directory))}

    def keeper(self) -> Keeper:
        """Create a keeper that uses this stage."""
        from freshkey import Keeper

        return Keeper(configuration=Configuration.load(self.environ))


def require_provider() -> None:
    """Raise an error unless the provider used by the demo is installed.

    Raises:
        ConfigurationError: The provider is missing; the message names the package.
    """
    from freshkey import admin

    if PROVIDER not in {plugin.name for plugin in admin.find() if plugin.flaw is None}:
        raise ConfigurationError(
            f"the demo requires the package {PACKAGE}, which is not installed",
            hint=f"Run: {install_command(PACKAGE)}",
            code="missing-package",
        )


@contextmanager
def raise_stage(view: View) -> Iterator[Stage]:
    """Set everything up, and remove it at the end."""
    from freshkey_testing.server import AuthorizationServer, Policy

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="freshkey-demo-")))
        server = stack.enter_context(AuthorizationServer(Policy(lifetime=LIFETIME)))
        view.say(f"Started a small authorization server at {server.urls.issuer}; nothing leaves this machine")
        stage = Stage(server=server, directory=directory, store_name=stack.enter_context(_store(view, directory)))
        _write_configuration(stage)
        yield stage


@contextmanager
def _store(view: View, directory: Path) -> Iterator[str]:
    """Choose the keychain if a probe shows that it works, otherwise an encrypted file; empty it at the end."""
    keychain = _slotted("keyring", directory)
    try:
        keychain.probe()
    except StoreError as error:
        view.say(f"Store: an encrypted file in {directory} ({error.message})")
        yield "file"  # removed with its directory
        return
    view.say("Store: the OS keychain")
    try:
        yield "keyring"
    finally:
        _empty(view, keychain)


def _slotted(name: str, directory: Path) -> _DemoStore:
    from freshkey import Profile
    from freshkey._plugins.discovery import load_store

    profile = Profile(name=PROFILE, provider=PROVIDER, settings=None, state_dir=_state(directory), store=name)
    return cast("_DemoStore", cast("Any", load_store(name)).store(profile))


def _empty(view: View, keychain: _DemoStore) -> None:
    try:
        with keychain.lock(3.0):
            keychain.forget()
    except FreshkeyError as error:
        view.say(f"Could not remove the demo's credential from the keychain: {error}")


def _state(directory: Path) -> Path:
    return directory / "state"


def _write_configuration(stage: Stage) -> None:
    """Write a ``config.toml`` as a user would; JSON strings, numbers and booleans are also valid TOML."""
    profile = {"provider": PROVIDER, "store": stage.store_name, "source": SOURCE, **stage.server.settings()}
    lines = [f"[profiles.{PROFILE}]", *(f"{key} = {json.dumps(value)}" for key, value in profile.items())]
    lines += ["[stores.file]", f"key_file = {json.dumps(str(stage.directory / 'store.key'))}"]
    file = stage.directory / "config.toml"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n", "utf-8")
