"""Checks of what a provider says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from functools import partial
from typing import Final

import attrs
import pytest

from freshkey import Credential, Description, Profile
from freshkey._plugins.hook_caller import HookCaller
from freshkey_testing.guard import no_io
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught


_HEAVY: Final = (
    "httpx",
    "keyring",
    "cattrs",
    "tenacity",
    "rich",
    "cryptography",
    "requests",
    "botocore",
    "google.auth",
)
_LIST_HEAVY: Final = (
    "import sys, importlib; importlib.import_module(sys.argv[1]);"
    " print(*(name for name in sys.argv[2:] if name in sys.modules))"
)


class Describing(ProviderKit):
    """``describe`` without a credential."""

    def test_it_fits_the_hooks(self, hooks: HookCaller) -> None:
        """The three hooks are there, marked with ``hookimpl``, and take the arguments of the contract.

        `PluginBroken` from the fixture `hooks` says which hook is missing, misspelt or has another argument.
        """
        assert isinstance(hooks.describe(None), Description)

    def test_its_import_is_cheap(self, provider: object) -> None:
        """Importing the provider loads no heavy library: import those inside the functions that need them.

        A program pays for the import of every provider it uses, before anybody asked for a credential.
        """
        if not isinstance(provider, types.ModuleType):
            pytest.skip("only a module can be imported alone")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _LIST_HEAVY, provider.__name__, *_HEAVY]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  our own interpreter
        assert done.returncode == 0, f"the provider cannot be imported alone: {done.stderr}"
        assert not done.stdout.strip(), f"importing the provider also imports {done.stdout.strip()}"

    def test_describe_does_no_io(self, hooks: HookCaller, profile: Profile) -> None:
        """A description is made from what the code knows and what the profile says; nothing is opened or asked.

        ``freshkey providers`` and every start of an application ask for it. Where something must be looked up, do it
        in a source's ``detect``, in ``acquire``, or in ``describe`` with a credential.
        """
        for whose in (None, profile):
            with no_io() as attempts:
                caught(partial(hooks.describe, whose))
            assert not attempts, f"describe({'profile' if whose else 'None'}, None) tried: {', '.join(attempts)}"

    def test_describe_says_the_same_with_and_without_a_profile(
        self, hooks: HookCaller, description: Description
    ) -> None:
        """Only ``hosts``, ``binding`` and ``lead`` may depend on settings; formats, sources and settings class may not.

        The core reads the settings class before there is a profile, and stored credentials with these formats after.
        """
        general = hooks.describe(None)
        assert description.settings is general.settings, "the settings class depends on the profile"
        assert dict(description.formats) == dict(general.formats), "the formats depend on the profile"
        assert _ids(description) == _ids(general), "the sources depend on the profile"

    def test_it_can_be_read(self, description: Description) -> None:
        """Provider and sources have titles for people, and ids that tell sources apart and can be typed."""
        ids = _ids(description)
        assert description.title, "the title is empty"
        assert ids, "there is no source"
        assert len(set(ids)) == len(ids), f"two sources share an id: {ids}"
        for source in description.sources:
            assert source.title, f"source {source.id!r} has no title"
            assert source.id, f"the source titled {source.title!r} has no id"
            assert source.id.split() == [source.id], f"the id {source.id!r} has blanks"

    def test_settings_have_defaults(self, description: Description) -> None:
        """The settings class is an attrs class that can be made without arguments.

        A provider's bare name is a profile with default settings. Check what is required in ``acquire``, and raise
        `ConfigurationError` with the name of the missing key.
        """
        kind = description.settings
        assert attrs.has(kind), f"{kind.__name__} is not an attrs class"
        required = [field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING]
        assert not required, f"{kind.__name__} has fields without a default: {', '.join(required)}"
        kind()

    def test_hosts_are_host_names(self, description: Description) -> None:
        """``hosts`` holds bare host names, without scheme, port or path."""
        odd = [host for host in description.hosts if not host or set(host) & set("/:@ ")]
        assert not odd, f"hosts holds what is not a host name: {odd}"

    def test_formats_are_credentials(self, description: Description) -> None:
        """Every format is a class of credentials; the core can neither keep nor hand out anything else."""
        for tag, kind in description.formats.items():
            assert tag, f"{kind.__name__} has an empty tag"
            assert issubclass(kind, Credential), f"the format {tag!r} is no subclass of Credential"
            assert len({*description.formats.values()}) == len(description.formats), "a class has two tags"


def _ids(description: Description) -> list[str]:
    return [source.id for source in description.sources]
