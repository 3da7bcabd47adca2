"""Checks of a provider's description."""

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
        """The three hooks exist, are marked with ``hookimpl``, and take the arguments of the contract.

        `PluginBroken` from the fixture `hooks` says which hook is missing, misspelled or takes different arguments.
        """
        assert isinstance(hooks.describe(None), Description)

    def test_its_import_is_cheap(self, provider: object) -> None:
        """Importing the provider does not load heavy libraries: import those inside the functions that need them.

        A program pays for importing every provider it uses, before it asks for a credential.
        """
        if not isinstance(provider, types.ModuleType):
            pytest.skip("only a module can be imported by itself")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _LIST_HEAVY, provider.__name__, *_HEAVY]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  this same interpreter
        assert done.returncode == 0, f"the provider cannot be imported by itself: {done.stderr}"
        assert not done.stdout.strip(), f"importing the provider also imports {done.stdout.strip()}"

    def test_describe_does_no_io(self, hooks: HookCaller, profile: Profile) -> None:
        """``describe`` without a credential uses only the code and the profile: it opens no file and sends no request.

        ``freshkey providers`` and every application start call it. To look something up, do it in a source's
        ``detect``, in ``acquire``, or in ``describe`` with a credential.
        """
        for whose in (None, profile):
            with no_io() as attempts:
                caught(partial(hooks.describe, whose))
            assert not attempts, f"describe({'profile' if whose else 'None'}, None) tried: {', '.join(attempts)}"

    def test_describe_says_the_same_with_and_without_a_profile(
        self, hooks: HookCaller, description: Description
    ) -> None:
        """Only ``hosts``, ``binding`` and ``lead`` may depend on settings, not formats, sources or the settings class.

        The core needs the settings class before there is a profile, and reads stored credentials with these formats.
        """
        general = hooks.describe(None)
        assert description.settings is general.settings, "the settings class depends on the profile"
        assert dict(description.formats) == dict(general.formats), "the formats depend on the profile"
        assert _ids(description) == _ids(general), "the sources depend on the profile"

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
        assert attrs.has(kind), f"{kind.__name__} is not an attrs class"
        required = [field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING]
        assert not required, f"{kind.__name__} has fields without a default: {', '.join(required)}"
        kind()

    def test_hosts_are_host_names(self, description: Description) -> None:
        """``hosts`` contains only host names, without scheme, port or path."""
        odd = [host for host in description.hosts if not host or set(host) & set("/:@ ")]
        assert not odd, f"hosts contains invalid host names: {odd}"

    def test_formats_are_credentials(self, description: Description) -> None:
        """Every format is a subclass of `Credential`; the core cannot store or return anything else."""
        for tag, kind in description.formats.items():
            assert tag, f"{kind.__name__} has an empty tag"
            assert issubclass(kind, Credential), f"the class of format {tag!r} is not a subclass of Credential"
            assert len({*description.formats.values()}) == len(description.formats), "a class has two tags"


def _ids(description: Description) -> list[str]:
    return [source.id for source in description.sources]
