"""Checks of a provider's description."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections import Counter
from functools import partial
from typing import Final

import attrs

from freshkey import Credential, Description, Profile
from freshkey_testing.guard import no_io
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, require
from freshkey_testing.provider_contract.wire import Wire


_MAX_MODULES: Final = 40
"""How many modules a provider may load in addition to those that every provider needs."""

_LOADED: Final = (
    "import sys, importlib, attrs, freshkey.plugin, freshkey.oauth\n"
    "[getattr(page, name) for page in (freshkey.plugin, freshkey.oauth) for name in ('hookimpl', 'OAuthClient')"
    " if hasattr(page, name)]\n"
    "bare = set(sys.modules)\n"
    "importlib.import_module(sys.argv[1])\n"
    "print(*(set(sys.modules) - bare))"
)
_OF_FRESHKEY_NEEDS: Final = frozenset({"httpx", "keyring", "cattrs", "tenacity", "cryptography"})
"""What freshkey itself loads only when it needs it."""


class Describing(ProviderKit):
    """``describe`` without a credential."""

    def test_it_fits_the_hooks(self, hooks: Hooks) -> None:
        """`describe`, `acquire` and `refresh` exist, have ``hookimpl``, and take the arguments of the contract.

        `PluginBroken` from the fixture `hooks` says which hook is missing, misspelled or takes different arguments.
        """
        assert isinstance(hooks.describe(None), Description)

    def test_its_import_is_cheap(self, provider: object) -> None:
        """Importing the provider does not load heavy libraries: import those inside the functions that need them.

        A program pays for importing every provider it uses, before it asks for a credential.
        """
        if not isinstance(provider, types.ModuleType) or provider.__spec__ is None:
            not_applicable("only a module can be imported by itself")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _LOADED, provider.__name__]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  this same interpreter
        require(done.returncode == 0, f"the provider cannot be imported by itself: {done.stderr}")
        own = provider.__name__.partition(".")[0]
        roots = [name.partition(".")[0] for name in done.stdout.split()]
        others = Counter(root for root in roots if root not in {own, "freshkey"})
        worst = ", ".join(f"{name} ({count})" for name, count in others.most_common(5))
        require(
            others.total() <= _MAX_MODULES and not others.keys() & _OF_FRESHKEY_NEEDS,
            f"importing the provider also imports {others.total()} other modules, of {worst}:"
            " import them in the functions that need them",
        )

    def test_describe_does_no_io(self, hooks: Hooks, profile: Profile) -> None:
        """``describe`` without a credential uses only the code and the profile: it opens no file and sends no request.

        ``freshkey providers`` and every application start call it. To look something up, do it in a source's
        ``detect``, in ``acquire``, or in ``describe`` with a credential.
        """
        for whose in (None, profile):
            wire = Wire(fault="before-sending")
            with no_io() as attempts:
                caught(partial(hooks.describe, whose and wire.of(whose)))
            reached = [*attempts, *sorted(wire.hosts())]
            named = "profile" if whose else "None"
            require(
                not reached,
                f"describe({named}, None) tried: {', '.join(reached)};"
                " look things up in detect, in acquire, or in describe with a credential",
            )

    def test_describe_says_the_same_with_and_without_a_profile(self, hooks: Hooks, description: Description) -> None:
        """``hosts``, ``binding`` and the like may depend on settings, not formats or the settings class.

        The core needs the settings class before there is a profile, and reads stored credentials with these formats.
        Settings may rule a source out, such as a sign-in where an application acts for itself, but add none: what a
        project's file may choose without the user's trust depends on the sources of the provider itself.
        """
        general = hooks.describe(None)
        assert description.settings is general.settings, "the settings class depends on the profile"
        assert dict(description.formats) == dict(general.formats), "the formats depend on the profile"
        known, found = _ids(general), _ids(description)
        assert found == [each for each in known if each in found], (
            "a profile has a source that the provider has not without one, or in another order"
        )

    def test_it_can_be_read(self, description: Description) -> None:
        """Provider and sources have readable titles, and source ids are unique and easy to type."""
        ids = _ids(description)
        assert description.title, "the title is empty"
        assert ids, "there are no sources"
        assert len(set(ids)) == len(ids), f"two sources have the same id: {ids}"
        for source in description.sources:
            assert source.title, f"source {source.id!r} has no title"
            assert source.id, f"the source titled {source.title!r} has no id"
            assert source.id.split() == [source.id], f"the id {source.id!r} contains whitespace"

    def test_settings_have_defaults(self, description: Description) -> None:
        """The settings class is an attrs class that can be created without arguments.

        A provider's name by itself is a profile with default settings. Check required settings in ``acquire``, and
        raise `ConfigurationError` naming the missing key.
        """
        kind = description.settings
        for owner in (kind, *description.formats.values()):
            for each in attrs.fields(owner) if attrs.has(owner) else ():
                require(
                    not isinstance(each.default, list | dict | set),
                    f"the default of {owner.__name__}.{each.name} can be changed, for all that share it:"
                    " use attrs.field(factory=…)",
                )
        assert attrs.has(kind), f"{kind.__name__} is not an attrs class"
        required = [field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING]
        assert not required, f"{kind.__name__} has fields without a default: {', '.join(required)}"
        kind()

    def test_hosts_are_host_names(self, description: Description) -> None:
        """No name in ``hosts`` is empty; the core itself refuses one with a scheme, a port or a path."""
        assert all(description.hosts), "hosts contains an empty name: is a URL in the settings without a host?"

    def test_formats_are_credentials(self, description: Description) -> None:
        """Every format is a subclass of `Credential`; the core cannot store or return anything else."""
        for tag, kind in description.formats.items():
            assert tag, f"{kind.__name__} has an empty tag"
            assert issubclass(kind, Credential), f"the class of format {tag!r} is not a subclass of Credential"
            assert len({*description.formats.values()}) == len(description.formats), "a class has two tags"


def _ids(description: Description) -> list[str]:
    return [source.id for source in description.sources]
