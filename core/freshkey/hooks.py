"""The contract between freshkey and its plugins: four hooks. This file is the plugin author's manual.

A provider is a module (or package) that implements `describe`, `acquire` and `refresh`, and rarely `store`, each
marked with `hookimpl`, and is announced by an entry point in the group ``freshkey.providers`` whose name is the
provider's id::

    [project.entry-points."freshkey.providers"]
    example = "freshkey_example"

All four hooks are synchronous and *firstresult*: a provider's first answer that is not None is the answer. Each
provider has a plugin manager of its own, so no provider ever sees another's credential. freshkey decides when a hook
is called, on which thread, and how often it is tried again; a hook does one thing once.

**Errors are part of the contract.** A hook raises one of these, each saying what the core does next:

- `TransientError`: not sent, or refused for now. Tried again with growing pauses; ``retry_after`` is honored.
- `OutcomeUnknown`: sent, but no usable answer came. Where refresh tokens are single-use (`Description.single_use`)
  only the rule for lost answers may send that token again; elsewhere it counts as transient.
- `LoginRequired`: a person must act.
- `ProviderRefused`: the configuration is wrong; never tried again by itself.

Any other exception becomes `PluginBroken`, naming the plugin. A hook that was interrupted after it sent a request
must not turn that into `TransientError`.

**Observers** (entry points of ``freshkey.observers``, loaded only when configuration names them) implement the same
hooks as wrappers (``hookimpl(wrapper=True)``). They see arguments and answers, and may raise before their ``yield``
to forbid a call; what they return after it is ignored, what they raise is reported as an event, and neither changes
the answer.

**Stores** (entry points of ``freshkey.stores``, loaded only when configuration names them) implement `store` alone.
The names ``keyring``, ``file`` and ``memory`` are freshkey's own.

Heavy libraries are imported inside the hooks' functions: a provider module must be cheap to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy


if TYPE_CHECKING:
    from freshkey.model.credential import Credential
    from freshkey.model.description import Description, Inspection
    from freshkey.model.interaction import Interaction, Reporter
    from freshkey.model.profile import Profile
    from freshkey.model.source import Source
    from freshkey.model.storage import CredentialStore

PROJECT: Final = "freshkey"
"""Name under which pluggy finds the hooks of a plugin."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as an implementation of one of the hooks below."""


@hookspec(firstresult=True)
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection | None:
    """Say what this provider is, or what it thinks of one credential.

    Called without a credential to learn the provider's sources, settings and formats: once when it is loaded, and
    again for each profile. Called with a credential by ``freshkey whoami`` and `Keeper.inspect`.

    Args:
        profile: The profile concerned; None when only the provider itself is asked about. Fields of a
            `Description` that depend on settings (``hosts``, ``binding``) are empty then.
        credential: The credential to check, or None.

    Returns:
        Without a credential a `Description`, made without any I/O. With one an `Inspection`; the network may be
        asked. An unreachable provider is an answer (`Validity.UNREACHABLE`), not an error.
    """


@hookspec(firstresult=True)
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential | None:
    """Get a first credential from one source, with a person's help where that source needs one.

    Called by ``freshkey login`` and, with an interaction that refuses, when an application asks for a credential and
    there is none yet. May use the network and take minutes while a person acts.

    Args:
        profile: The profile concerned; ``profile.settings_as(…)`` gives the provider's typed settings.
        source: One of the provider's own sources, chosen by the core.
        interaction: The person. In a non-interactive session each question raises `LoginRequired`, so ask before
            anything has an effect. `freshkey.plugin.is_attended` tells whether anybody waits for the answer: a timer
            renews ahead of time as well, and must not open another tool's window.

    Returns:
        The credential, its ``source`` set to ``source.id``. It writes nothing anywhere: the core keeps it.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: Nobody is there to help, or the person declined.
        ProviderRefused: The settings cannot work.
    """


@hookspec(firstresult=True)
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential | None:
    """Return a newer credential, without a person.

    Called under the profile's lock, on a thread of its own, ahead of expiry, or after a 401. May use the network; it
    must bound each request by a deadline (`freshkey.plugin.send` does), because the lock is held until it returns.

    Args:
        profile: The profile concerned.
        credential: What to renew. Its `Credential.renewal_secret` is sent at most once per call.
        reporter: Where to say what takes long; nobody can be asked.

    Returns:
        A new credential. Where the server returned no new refresh token it carries the old one on (RFC 6749,
        section 6). It writes nothing anywhere: the core saves the result before anybody gets it.

    Raises:
        TransientError: Certainly not acted upon: not sent, or refused for now.
        OutcomeUnknown: Sent, no usable answer.
        LoginRequired: The server no longer knows the refresh token (``invalid_grant``).
        ProviderRefused: The client or its configuration is refused.
    """


@hookspec(firstresult=True)
def store(profile: Profile) -> CredentialStore | None:
    """Return where owned credentials of this profile are kept.

    A factory, called once per profile and keeper; makes no I/O, but may import. What configuration names comes
    first, then what the provider returns here, then the operating system's keychain.

    Args:
        profile: The profile concerned; ``profile.state_dir`` is where local files belong, and
            ``profile.store_settings`` is the store's own table in configuration.

    Returns:
        A store, or None to let the core decide.
    """
