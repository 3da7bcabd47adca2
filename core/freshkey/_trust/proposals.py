"""The commands of a project's file in their current form, for the user to review and trust."""

from __future__ import annotations

from collections.abc import Mapping

from freshkey._config.configuration import Configuration
from freshkey._config.project import Project
from freshkey._plugins.connect import connect
from freshkey._plugins.discovery import provider_ids
from freshkey._trust.project_commands import Entry, propose
from freshkey.errors import about


def proposals(configuration: Configuration, providers: Mapping[str, object]) -> tuple[Entry, ...]:
    """Return the commands of the project's file, by profile; imports the providers of its profiles.

    Args:
        configuration: Provides the project's file; if there is none, there are no commands.
        providers: Providers that the application passes by ID; they override installed ones.

    Raises:
        ConfigurationError: A profile sets something that a project must not, or a command that cannot be run.
        PluginBroken: A provider cannot be loaded.
    """
    project = configuration.project
    if project is None:
        return ()
    every = [_proposal(name, project, configuration, providers) for name in project.profile_names()]
    return tuple(entry for entry in every if entry.commands)


def _proposal(name: str, project: Project, configuration: Configuration, providers: Mapping[str, object]) -> Entry:
    with about(name):
        table = configuration.table(name, reserved=lambda: provider_ids(providers))
        if table.project is None:
            message = f"a project cannot define profile {name!r}, because a provider has this name"
            hint = "Rename the project's profile"
            raise project.document.error(message, "profiles", name, hint=hint, code="invalid-name")
        described = connect(table, configuration, providers, lambda _: None).describe(None)
        return propose(project, name, project.words(name, described.settings))
