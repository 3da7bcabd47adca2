"""What a project's file sets that needs trust, in its current form, for the user to review."""

from __future__ import annotations

from collections.abc import Mapping

from freshkey._config.configuration import Configuration
from freshkey._config.profile_table import ProfileTable
from freshkey._config.project import Project, Wishes
from freshkey._config.schema import checked_name
from freshkey._plugins.connect import connect
from freshkey._plugins.discovery import provider_ids
from freshkey._trust.entries import Entry
from freshkey._trust.project_commands import propose
from freshkey.errors import about


def proposals(configuration: Configuration, providers: Mapping[str, object]) -> tuple[Entry, ...]:
    """Return what the project's file sets that needs trust, by profile; imports the providers of its profiles.

    Args:
        configuration: Provides the project's file; if there is none, there is nothing.
        providers: Providers that the application passes by ID; they override installed ones.

    Raises:
        ConfigurationError: A profile sets something that a project must not, or a command that cannot be run.
        PluginBroken: A provider cannot be loaded.
    """
    project = configuration.project
    if project is None:
        return ()
    names = dict.fromkeys([*project.profile_names(), *filter(None, [project.profile])])
    return tuple(filter(Entry.__bool__, [_proposal(name, project, configuration, providers) for name in names]))


def wishes_of(table: ProfileTable, configuration: Configuration, providers: Mapping[str, object]) -> Wishes:
    """Return what a project's file sets for a profile that needs trust: nothing, for one that is the user's own.

    Raises:
        ConfigurationError: A profile sets something that a project must not.
        PluginBroken: A provider cannot be loaded.
    """
    if table.project is None:
        return Wishes()
    described = connect(table, configuration, providers, lambda _: None).describe(None)
    owned = {source.id for source in described.sources if source.owned}
    return table.project.wishes(table.name, described.settings, owned)


def _proposal(name: str, project: Project, configuration: Configuration, providers: Mapping[str, object]) -> Entry:
    with about(name):
        table = configuration.table(checked_name(name), reserved=lambda: provider_ids(providers))
        if table.project is None and name in project.profile_names():
            message = f"a project cannot define profile {name!r}, because a provider has this name"
            hint = "Rename the project's profile"
            raise project.document.error(message, "profiles", name, hint=hint, code="invalid-name")
        wishes = wishes_of(table, configuration, providers)
        return propose(project, name, wishes, selected=name == project.profile)
