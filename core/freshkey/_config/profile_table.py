"""The table of one profile, and its conversion to the settings class of its provider."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from attrs import field, frozen

from freshkey._config.overrides import SET, check_overrides
from freshkey._config.project import Project, Trusted, refuse
from freshkey._config.provider_settings import WrongValueError, fields, structure
from freshkey._config.schema import CORE_KEYS, check_keys, wrong_value
from freshkey._config.toml_file import Document
from freshkey.errors import ConfigurationError, about


DEFAULT_STORE: Final = "keyring"


@frozen(kw_only=True)
class ProfileTable:
    """A profile as configured, before its provider is loaded.

    Attributes:
        document: The document that has the table, or would have it.
        source: ID of the only source to use, or None.
        skip: IDs of sources not to use.
        lead: Seconds before expiry at which to renew, or None.
        redirect_port: Port that a sign-in in the browser returns to, or None.
        allow_insecure_loopback: Whether http to this machine is accepted, for tests.
        rest: The provider's own settings, unchecked; may be secret.
        defined: Whether there is a table for it; otherwise the name is that of a provider.
        project: The project whose file has the table; None for the user's own file.
    """

    name: str
    provider: str
    document: Document = field(repr=False)
    store: str | None = None
    source: str | None = None
    skip: tuple[str, ...] = ()
    lead: float | None = None
    redirect_port: int | None = None
    allow_insecure_loopback: bool = False
    rest: Mapping[str, object] = field(factory=dict, repr=False)
    defined: bool = True
    project: Project | None = field(default=None, repr=False)

    @property
    def store_name(self) -> str:
        """Name of the store to load."""
        return self.store or DEFAULT_STORE

    def settings(
        self,
        kind: type,
        overrides: Mapping[str, object],
        trusted: Trusted | None = None,
        owned: Collection[str] = (),
    ) -> object:
        """Return the provider's settings as an instance of `kind`; `overrides`, such as ``--set``, override the table.

        `trusted` decides about commands and choices that a project's file sets; with None, there must be none. `owned`
        has the IDs of the provider's owned sources.

        Raises:
            ConfigurationError: A key is unknown, or has an invalid value; the message names file and line, and the
                hint the key that was probably meant.
            TrustNeeded: A project's file sets a command or a choice that is not trusted.
            PluginBroken: The settings class cannot be used.
        """
        try:
            with about(self.name):
                return structure(kind, self._values(kind, overrides, trusted, owned))
        except WrongValueError as wrong:
            place = SET if overrides and wrong.key in {None, *overrides} else self.document
            raise wrong_value(place, self.name, wrong.key, wrong.expected, wrong.sentence) from None

    def not_https(self, key: str, overrides: Mapping[str, object]) -> ConfigurationError:
        """Return the error for a setting that is an http URL of this machine."""
        place = SET if key in overrides else self.document
        hint = "Use the form https://host/path. For a test server on this machine: allow_insecure_loopback = true"
        message = f"{key!r}: the URL does not use https"
        return place.error(message, "profiles", self.name, key, profile=self.name, hint=hint, code="invalid-url")

    def _values(
        self, kind: type, overrides: Mapping[str, object], trusted: Trusted | None, owned: Collection[str]
    ) -> Mapping[str, object]:
        known = fields(kind)
        check_overrides(overrides, self.name, known)
        if self.project is not None:
            wishes = self.project.wishes(self.name, kind, owned).without(overrides)
            commands = (trusted or refuse)(self.project, self.name, wishes) if wishes else {}
            return {**self.rest, **commands, **overrides}
        check_keys(self.document, self.name, self.rest, CORE_KEYS | known.keys())
        return {**self.rest, **overrides}
