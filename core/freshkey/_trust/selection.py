"""A profile that a project chose is used only with the user's agreement, and never changed unless it is named.

See docs/decisions.md, "A project's choice is a grant".
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from attrs import frozen

from freshkey._config.configuration import Configuration
from freshkey._config.profile_selection import Selection
from freshkey._config.profile_table import ProfileTable
from freshkey._config.project import Project
from freshkey._plugins.discovery import provider_ids
from freshkey._trust.entries import TrustedCommands
from freshkey._trust.project_commands import decide
from freshkey._trust.proposals import wishes_of
from freshkey.errors import ConfigurationError, about
from freshkey.model.interaction import Approve


log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Influence:
    """What a project has to do with the profile that is used.

    Attributes:
        project: The project.
        table: The profile.
        chose: Whether the project chose it: its file selects it; or it is the project's own, and the user did not name
            it. A variable or a default that names a project's profile does not count as the user: the same word means
            something else in each project.
    """

    project: Project
    table: ProfileTable
    chose: bool


def influence(selection: Selection, configuration: Configuration, providers: Collection[str] = ()) -> Influence | None:
    """Return what a project has to do with the selected profile; None if nothing.

    Raises:
        ConfigurationError: The profile is invalid.
    """
    if configuration.project_file is None:
        return None  # at no cost: looking for providers takes time
    with about(selection.name):
        table = configuration.table(selection.name, reserved=lambda: provider_ids(providers))
    if selection.by_project and configuration.project is not None:
        return Influence(project=configuration.project, table=table, chose=True)
    if table.project is not None:
        return Influence(project=table.project, table=table, chose=not selection.is_named)
    return None


def chosen(
    configuration: Configuration, name: str | None, providers: Mapping[str, object], approve: Approve | None
) -> Selection:
    """Select a profile to use; if a project chose it, only with the user's agreement, who is asked where possible.

    Args:
        configuration: The configuration.
        name: The profile that the caller names; None for the one that something else selects.
        providers: Providers that the application passes by ID; they override installed ones.
        approve: How to ask the user; None if there is no one to ask.

    Raises:
        TrustNeeded: A project chose it, and the user did not agree.
        ConfigurationError: No profile is selected, or it is invalid.
        PluginBroken: The provider of a project's own profile cannot be loaded.
    """
    selection = configuration.select(name)
    if selection.is_named:
        return selection  # at no cost: what a project sets for it is checked where the profile is loaded
    found = influence(selection, configuration, providers)
    if found is not None and found.chose:
        with about(selection.name):
            wishes = wishes_of(found.table, configuration, providers).without(configuration.overrides)
            decide(configuration.state_dir, approve, found.project, selection.name, wishes, selected=True)
        log.info("%s", told(selection, configuration, providers))
    return selection


def told(selection: Selection, configuration: Configuration, providers: Collection[str] = ()) -> str | None:
    """Return what to tell the user about a profile that a project selected or defines; None for any other."""
    found = influence(selection, configuration, providers)
    if found is None:
        return None
    how = "selected by" if found.chose else "defined in"
    entry = TrustedCommands(configuration.state_dir).find(found.project.path, selection.name)
    choices = entry.choices.items() if entry is not None else ()
    values = ", ".join(f"{key} = {value}" for key, value in choices if key not in configuration.overrides)
    return f"using profile {selection.name}, {how} {found.project.path}" + (f" ({values})" if values else "")


def named(configuration: Configuration, name: str | None, providers: Collection[str] = ()) -> Selection:
    """Return the selected profile, for a command that changes what is kept for it.

    Raises:
        ConfigurationError: A project chose it, or no profile is selected, or it is invalid.
    """
    selection = configuration.select(name)
    if selection.is_named:
        return selection
    found = influence(selection, configuration, providers)
    if found is not None and found.chose:
        raise ConfigurationError(
            f"{found.project.path} would choose this profile, but what changes a sign-in never follows a project",
            profile=selection.name,
            hint=f"To change the sign-in of {selection.name!r}, name it",
            code="profile-not-named",
        )
    return selection
