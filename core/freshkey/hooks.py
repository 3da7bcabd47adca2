"""The contract between freshkey and its plugins: four hooks. This file is the manual for plugin authors.

A provider is a module or package that implements three of them, `describe`, `acquire` and `refresh`, each marked with
`hookimpl`. The fourth, `store`, is for stores; a provider has it only if its credentials need a store of their own.
Revocation is not a hook, but a function that the description names (`Description.revoke`).

An entry point in the group ``freshkey.providers`` registers a provider; the name is the provider's ID::

    [project.entry-points."freshkey.providers"]
    example = "freshkey_example"

All four hooks are synchronous and *firstresult*: the first result that is not None counts. Each provider has its own
plugin manager, so a provider never sees another's credential. freshkey decides when a hook is called, on which thread,
and how often it is retried; a hook does one thing once.

**Errors are part of the contract.** The class of an error decides what the core does next:

- `TransientError`: not sent, or rejected for now. Retried with increasing pauses; ``retry_after`` is honored.
  With ``starting``, what is known to be there is tried for half a minute; with ``local``, no other process waits.
- `OutcomeUnknown`: sent, but no usable response. If refresh tokens are single-use (`Description.single_use`), the token
  is sent again only as often as is safe after a lost response; otherwise this is treated as transient.
- `LoginRequired`: the user must act. The refresh token is never sent again, unless this was found before it was sent
  (``unsent``), or something in between may have refused it (``doubtful``).
- `ProviderRefused`: the configuration is wrong; not retried automatically.

**A wrong password, key or code** is `LoginRequired`, with the next step as its hint: what the user, or an automatic
source, presented is not accepted. What the server refuses for another reason, such as an unknown client or a missing
permission, is `ProviderRefused`. `acquire` may let the user try again, while one can be asked, up to three times in
all. Then, or if the user enters nothing, it raises `LoginRequired`: a new attempt begins with ``freshkey login``.
Without a hint, the core names that command, or what the automatic source takes.

Give each error a ``code`` that begins with the provider's name, such as ``example-key-expired``, if the code of the
class is not specific enough. Any other exception becomes `PluginBroken`, which names the plugin. A hook that is
interrupted after it sent a request must not raise `TransientError`.

**Observers** (entry points of ``freshkey.observers``, loaded only if the configuration names them) implement the same
hooks as wrappers (``hookimpl(wrapper=True)``). They see arguments and results, and may raise before their ``yield`` to
prevent a call. What they return after it is ignored, and what they raise after it is reported as an event; neither
changes the result.

**Stores** (entry points of ``freshkey.stores``, loaded only if the configuration names them) implement only `store`.
The names ``keyring``, ``file`` and ``memory`` are reserved for freshkey's own stores.

**The contract has a version**, `CONTRACT`. A plugin that needs more than version 1 says so in its module, as
``FRESHKEY_CONTRACT = 2``; a freshkey that has less refuses it, and names both.

``FRESHKEY_DEBUG=1`` shows the whole traceback of what a plugin raised, without what it holds in a `Secret`.

Import heavy libraries inside the hook functions: a provider module must be cheap to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy


if TYPE_CHECKING:
    from freshkey.model.credential import Credential
    from freshkey.model.description import Description, Inspection
    from freshkey.model.interaction import Interaction, Reporter
    from freshkey.model.profile import Profile
    from freshkey.model.reason import Reason
    from freshkey.model.source import Source
    from freshkey.model.storage import CredentialStore

CONTRACT: Final = 1
"""The version of the contract between freshkey and its plugins."""

PROJECT: Final = "freshkey"
"""Name under which pluggy finds the hooks of a plugin."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as an implementation of one of the hooks below."""


@hookspec(firstresult=True)
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection | None:
    """Describe this provider, or check a credential.

    Called without a credential to get the provider's sources, settings and formats: once when it is loaded, and again
    for each profile. Called with a credential by ``freshkey whoami`` and `Keeper.inspect`.

    Args:
        profile: The profile; None to describe the provider itself. Fields of a `Description` that depend on settings
            (``hosts``, ``binding``) are then empty, and ``sources`` has every source: settings may only rule some out.
        credential: The credential to check, or None.

    Returns:
        Without a credential, a `Description`, built without any I/O. With a credential, an `Inspection`; this may use
        the network. An unreachable provider is a result (`Validity.UNREACHABLE`), not an error.
    """


@hookspec(firstresult=True)
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential | None:
    """Get the first credential from one source, with the user's help if that source requires it.

    Called by ``freshkey login`` and, with a non-interactive `Interaction`, when an application needs a credential and
    there is none yet: from a source that is not owned, or is automatic (`Source.automatic`). For these it is called
    again when what it returned ends, is rejected, or cannot be renewed. May use the network, and may take minutes while
    the user acts.

    Args:
        profile: The profile; ``profile.settings_as(…)`` returns the provider's typed settings.
        source: One of the provider's sources, chosen by the core.
        interaction: Use it to ask the user. For a source that needs one (`Source.interactive`), call
            ``interaction.require_attended()`` before anything that has an effect: it raises `LoginRequired` at once in
            a non-interactive session, where each question would. For a source that only starts another tool,
            `freshkey.plugin.is_attended` returns whether a caller is waiting for the result. If not, a timer is
            renewing ahead of time, and that tool must not open a window.

    Returns:
        The credential; the core sets its `Credential.source`. None is an error. Do not write it anywhere: the core
        stores it.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: The session is not interactive, or the user declined or entered nothing; or what the user
            entered, or an automatic source presented, is not accepted, such as a wrong password or an app's key. Its
            hint is the next step; without one, the core names it. The user may also be asked again before that.
        ProviderRefused: The server refuses for another reason, such as an unknown client or a missing permission: the
            settings or the account have to change first.
    """


@hookspec(firstresult=True)
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential | None:
    """Return a newer credential, without involving the user.

    Called for a credential that is `Credential.renewable`; in place of another one, `acquire` is called again if its
    source needs no user. The profile's lock is held, on a separate thread, before expiry or after a server rejected the
    credential (`Credential.judge`). May use the network; each request must have a timeout (`Profile.send` has one),
    because the lock is held until the hook returns.

    Args:
        profile: The profile.
        credential: The credential to renew. Send its `Credential.renewal_secret` at most once per call.
        reporter: Receives progress messages; the user cannot be asked.
        reason: Why it is renewed. A provider that only extends what it has, such as a lease, must get another
            credential if this one was rejected (`Reason.REFUSED`), or raise `LoginRequired`; if its source is
            automatic, the core then calls `acquire`. It is told again until there is one with other secrets.

    Returns:
        A new credential; None is an error. If the server did not return a new refresh token, it contains the old one
        (RFC 6749, section 6). Do not write it anywhere: the core saves it first (ROT-4). If the server says when the
        sign-in itself ends (``refresh_token_expires_in``), that is its `Credential.renewable_for`; if it does not say
        so, and keeps the refresh token, the core keeps the end that is known. The core also keeps
        `Credential.ends_at_latest` unless the new credential has its own.

    Raises:
        TransientError: Definitely had no effect: not sent, or rejected for now.
        OutcomeUnknown: Sent, but no usable response.
        LoginRequired: The server no longer accepts the refresh token (``invalid_grant``), or what an automatic source
            presented; or the lease has ended.
        ProviderRefused: The server refuses for another reason, such as the client or its configuration.
    """


@hookspec(firstresult=True)
def store(profile: Profile) -> CredentialStore | None:
    """Return the store for owned credentials of this profile.

    A factory, called once per profile, account and keeper; it must not do any I/O except imports. The store named in
    the configuration takes precedence, then the one returned here, then the OS keychain.

    Args:
        profile: The profile; ``profile.state_dir`` is the directory for local files, and ``profile.store_settings`` is
            the store's own table in the configuration. Name what you keep by ``profile.key``, which no other
            project's profile has, and no other account. Stores that are not freshkey's own get it as ``profile.name``
            too. A store that can list may keep ``profile.account`` beside it: see `CredentialStore`.

    Returns:
        A store, or None to let the core decide.
    """
