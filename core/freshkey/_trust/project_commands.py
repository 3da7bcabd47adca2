"""Decides what of a project's file may be used: what the user trusted already, or approves now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from freshkey._commands.command import Command, how_to_trust
from freshkey._config.project import Project, Trusted, Wishes
from freshkey._trust.entries import Entry, TrustedCommands
from freshkey._trust.question import question
from freshkey.errors import LoginRequired, TrustNeeded
from freshkey.model.interaction import Approve


def propose(project: Project, profile: str, wishes: Wishes, *, selected: bool = False) -> Entry:
    """Return the entry to trust: what a file sets for a profile, in its current form.

    Raises:
        ConfigurationError: A command cannot be run.
    """
    return Entry(
        file=project.path,
        profile=profile,
        digest=project.digest,
        commands={key: project.command(profile, key, one) for key, one in wishes.commands.items()},
        choices=wishes.choices,
        selected=selected,
    )


def why_not(entry: Entry | None, project: Project, wishes: Wishes, *, selected: bool = False) -> str | None:
    """Return why what a file sets for a profile is not trusted in its current form; None if it is.

    Args:
        entry: What is trusted for the profile.
        project: The project.
        wishes: What is to be used now.
        selected: Whether the user did not name the profile.
    """
    if entry is None:
        return "you have not trusted it yet"
    if (changed := entry.changed(project.digest)) is not None:
        return changed
    if wishes.commands.keys() - entry.commands.keys():
        return "its set of commands changed after you trusted it"
    if wishes.choices.items() - entry.choices.items() or (selected and not entry.selected):
        return "you have not trusted this choice yet"
    return None


def trusting(state_dir: Path, approve: Approve | None) -> Trusted:
    """Return a function that decides about what projects set: trusted already, or approved by the user now."""

    def trusted(project: Project, profile: str, wishes: Wishes) -> Mapping[str, Command]:
        return decide(state_dir, approve, project, profile, wishes).commands

    return trusted


def decide(
    state_dir: Path,
    approve: Approve | None,
    project: Project,
    profile: str,
    wishes: Wishes,
    *,
    selected: bool = False,
) -> Entry:
    """Return what the user trusts of a file for a profile, which includes everything that is to be used now.

    Args:
        state_dir: Where answers are kept.
        approve: How to ask the user; None if there is no one to ask.
        project: The project.
        profile: Name of the profile: one of the project's own, or one that it selects.
        wishes: What is to be used.
        selected: Whether the user did not name the profile.

    Raises:
        TrustNeeded: It is not trusted, and the user did not agree to it now.
        ConfigurationError: A command cannot be run.
    """
    trust = TrustedCommands(state_dir)
    entry = trust.find(project.path, profile)
    why = why_not(entry, project, wishes, selected=selected)
    if entry is not None and why is None:
        return evolve(entry, commands={key: entry.commands[key] for key in wishes.commands})
    if approve is not None:
        proposed = propose(project, profile, wishes, selected=selected)
        agreed = False
        with suppress(LoginRequired):  # not interactive
            agreed = approve(question(proposed, why))
        if agreed:
            known = entry is not None and entry.changed(project.digest) is None
            trust.try_to_remember(
                proposed.with_all_of(entry) if entry is not None and known else proposed,
                f"your approval of {proposed.file}",
            )
            return proposed
    raise _refusal(entry, project, profile, wishes, str(why))


def _refusal(entry: Entry | None, project: Project, profile: str, wishes: Wishes, why: str) -> TrustNeeded:
    hint = how_to_trust(project.directory)
    for words in wishes.commands.values():
        name = Path(words[0]).name[:80]
        return TrustNeeded(
            f"{project.path} sets the command {name!r}, which was not run: {why}",
            profile=profile,
            hint=hint,
            code="trust-required" if entry is None else "trusted-command-changed",
        )
    for key, value in wishes.choices.items():
        message = f"{project.path} sets {key} to {value[:80]!r}, which was not used: {why}"
        return TrustNeeded(message, profile=profile, hint=hint, code="trust-required")
    message = f"{project.path} selects this profile, which was not used: {why}"
    return TrustNeeded(message, profile=profile, hint=hint, code="trust-required")
