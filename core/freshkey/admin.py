"""For the command line and other tools of the same version; may change with any version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey import _lazy


if TYPE_CHECKING:
    from freshkey._accounts.status import Status
    from freshkey._commands.environ import child_environment
    from freshkey._commands.lookup import find_users_program
    from freshkey._commands.session import start_bound
    from freshkey._config.env_vars import CONFIG_DIR, PROFILE, STATE_DIR
    from freshkey._config.profile_selection import Choice
    from freshkey._config.toml_limits import is_nested_too_deeply
    from freshkey._http.bound import SendToHosts, with_send
    from freshkey._interprocess.exit_hold import sending_nothing
    from freshkey._plugins.discovery import OBSERVERS, OWN_STORES, STORES, Found, announced, find, import_plugin
    from freshkey._plugins.outgoing_text import redactor
    from freshkey._plugins.provider_facts import ProviderFacts, provider_facts
    from freshkey._secret_input.file_descriptor import MIN_DESCRIPTOR, is_inherited
    from freshkey._sources.explain import Explanation
    from freshkey._sources.precedence import Step
    from freshkey._text.redact import masked, redacted
    from freshkey._text.shell_words import shell_quoted
    from freshkey._text.tracebacks import add_note, notes_of, traceback_note
    from freshkey._text.visible import escaped, spelled_out, visible
    from freshkey._trust.entries import Entry, TrustedCommands
    from freshkey._trust.project_files import (
        TrustedFile,
        TrustedFiles,
        file_question,
        file_to_trust,
        refuse_state_in_project,
        revoke_file,
        trust_file,
        trusted_files,
        variables_naming,
    )
    from freshkey._trust.proposals import proposals
    from freshkey._trust.question import UNCHECKED, check_fits, demands, outcome
    from freshkey._trust.selection import chosen, named, told
    from freshkey._trust.source_consent import Answer, SourceAnswers
    from freshkey.model.account import command_word, split_account
    from freshkey.model.interaction import flaw_of_text

_HOMES: Final = {
    "_accounts.status": "Status",
    "_commands.environ": "child_environment",
    "_commands.lookup": "find_users_program",
    "_commands.session": "start_bound",
    "_config.env_vars": "CONFIG_DIR PROFILE STATE_DIR",
    "_config.toml_limits": "is_nested_too_deeply",
    "_config.profile_selection": "Choice",
    "_http.bound": "SendToHosts with_send",
    "_interprocess.exit_hold": "sending_nothing",
    "_plugins.discovery": "Found OBSERVERS OWN_STORES STORES announced find import_plugin",
    "_plugins.outgoing_text": "redactor",
    "_plugins.provider_facts": "ProviderFacts provider_facts",
    "_secret_input.file_descriptor": "MIN_DESCRIPTOR is_inherited",
    "_sources.explain": "Explanation",
    "_sources.precedence": "Step",
    "_text.redact": "masked redacted",
    "_text.shell_words": "shell_quoted",
    "_text.tracebacks": "add_note notes_of traceback_note",
    "_text.visible": "escaped spelled_out visible",
    "_trust.entries": "Entry TrustedCommands",
    "_trust.project_files": "TrustedFile TrustedFiles file_question file_to_trust refuse_state_in_project revoke_file"
    " trust_file trusted_files variables_naming",
    "_trust.proposals": "proposals",
    "_trust.question": "UNCHECKED check_fits demands outcome",
    "_trust.selection": "chosen named told",
    "_trust.source_consent": "Answer SourceAnswers",
    "model.account": "command_word split_account",
    "model.interaction": "flaw_of_text",
}

# Several names per line: one per line would fill a page.
# fmt: off
__all__ = [
    "CONFIG_DIR", "MIN_DESCRIPTOR", "OBSERVERS", "OWN_STORES", "PROFILE", "STATE_DIR", "STORES", "UNCHECKED", "Answer",
    "Choice", "Entry", "Explanation", "Found", "ProviderFacts", "SendToHosts", "SourceAnswers", "Status", "Step",
    "TrustedCommands", "TrustedFile", "TrustedFiles", "add_note", "announced", "check_fits", "child_environment",
    "chosen", "command_word", "demands", "escaped", "file_question", "file_to_trust", "find", "find_users_program",
    "flaw_of_text", "import_plugin", "is_inherited", "is_nested_too_deeply", "masked", "named", "notes_of", "outcome",
    "proposals", "provider_facts", "redacted", "redactor", "refuse_state_in_project", "revoke_file", "sending_nothing",
    "shell_quoted", "spelled_out", "split_account", "start_bound", "told", "traceback_note", "trust_file",
    "trusted_files", "variables_naming", "visible", "with_send",
]
# fmt: on


__getattr__, __dir__ = _lazy(__name__, _HOMES)
