"""A place that a provider can get a credential from, and what was found there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from freshkey.model.profile import Profile


@frozen(kw_only=True)
class Detected:
    """What was found in a source, without its value.

    Attributes:
        kind: What it is, such as ``API key``.
        origin: Where it is, such as ``environment variable EXAMPLE_API_KEY``.
        expires_at: When it expires, aware UTC, if that can be seen.
        last_four: At most its last four characters.
        fingerprint: Identifies the same value later (`Secret.fingerprint`); for sources that need consent.
        version: Changes when the source changes: `freshkey.plugin.file_version` of its files, or a fingerprint of its
            variable. The core compares it, and ends a pause after a failure when it differs. None if nothing tells.
    """

    kind: str
    origin: str
    expires_at: datetime | None = None
    last_four: str | None = None
    fingerprint: str | None = field(default=None, repr=False)
    version: str | None = field(default=None, repr=False)


def finds_nothing(profile: Profile) -> Detected | None:  # noqa: ARG001  a `Source.detect`
    """Find nothing: the `Source.detect` of a source that has none."""
    return None


@frozen(kw_only=True)
class Source:
    """One place from which a provider can get a credential.

    Attributes:
        id: Short name, as used in a profile's ``source`` setting.
        title: Display name, which also stands inside sentences: what a sign-in is called (``OAuth sign-in``), or for a
            source that the user provides, where that is (``API key in ACME_KEY``).
        owned: freshkey obtains and stores the credential; otherwise it belongs to another tool, and is not stored.
        interactive: Getting a credential requires the user.
        automatic: An owned source from which freshkey gets a credential without the user, such as client credentials
            or an app's key: when one is first needed, and again when that one ends and cannot be renewed, or its
            renewal raises `LoginRequired`. `detect` says whether what it takes is there. It is stored and shared
            between processes like a sign-in. A sign-in with another source replaces it, until the user signs out.
            Bare mode, which has no store, does not use it.
        pasted: The user enters an existing secret, as ``freshkey login --api-key`` does. Such a source is owned and
            interactive.
        handed_in: The credential is provided explicitly to this process: by argument, environment variable, file
            descriptor or helper command. Bare mode uses no other sources.
        needs_consent: The credential may exist without the user's knowledge. If the user is also signed in, an
            interactive session asks once before using it; `detect` must return a `Detected.fingerprint`.
        detect: Looks for a credential, quickly and without network access, and returns it without its value, or
            None. For an automatic source, it looks for what gets one, such as the app's key in the settings. An owned
            source that is not automatic needs none: it has a credential once somebody has signed in, and the core
            looks for that in the store.
        setup: What the user has to do before they can sign in with this source, such as a setting to add: an imperative
            sentence without a final period, for hints. None if ``freshkey login`` works right away. For an automatic
            source: what its credential takes, such as a setting to add.
        ignores: The names of settings that the profile sets, but this source does not use. The core names them to the
            user; `freshkey.plugin.unused_settings` finds them.
        chosen_by: Settings of a profile, and environment variables, that are set only to use this source. The user is
            told if an earlier source is used nevertheless, and which to remove if this source hides a sign-in.
    """

    id: str
    title: str
    owned: bool
    interactive: bool = False
    automatic: bool = False
    pasted: bool = False
    handed_in: bool = False
    needs_consent: bool = False
    detect: Callable[[Profile], Detected | None] = finds_nothing
    setup: Callable[[Profile], str | None] = lambda _: None
    ignores: Callable[[Profile], tuple[str, ...]] = lambda _: ()
    chosen_by: tuple[str, ...] = ()

    @property
    def needs_sign_in(self) -> bool:
        """Whether only the user can get another credential from it, with ``freshkey login``."""
        return self.owned and not self.automatic
