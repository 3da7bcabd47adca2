"""What authors of providers, stores and observers import, besides `freshkey.oauth` and `freshkey.errors`.

`freshkey.hooks` documents the contract: what each hook receives, returns and may raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey import _lazy


if TYPE_CHECKING:
    from freshkey._commands.command import Command, ensure_unchanged, run_command
    from freshkey._commands.environ import child_environment
    from freshkey._commands.external_login import run_login_command
    from freshkey._commands.helper import (
        HELPER_TIMEOUT,
        MAX_LINE,
        helper_environment,
        read_helper_json,
        read_helper_line,
        run_helper,
    )
    from freshkey._commands.process import checked_program
    from freshkey._files.bounded import NotRegularError, TooLongError, file_version, read_bounded
    from freshkey._files.packaged import kept_for_all
    from freshkey._files.path_text import path_flaw, shown_path, shown_url
    from freshkey._files.private import file_name, private_dir, read_private, remove_private, write_private
    from freshkey._files.project_place import without_project_path
    from freshkey._files.unchangeable import ensure_unchangeable, read_unchangeable
    from freshkey._files.variable_paths import variable_paths
    from freshkey._http.messages import form, json_body, retry_after
    from freshkey._http.status import raise_for_status
    from freshkey._http.tls import authorities_flaw, tls_context, tls_failure
    from freshkey._http.url import checked_url
    from freshkey._interprocess.exit_hold import ExitHold
    from freshkey._interprocess.lock import ProfileLock
    from freshkey._json import parse_json_object
    from freshkey._secret_input.encoding import unmarked
    from freshkey._secret_input.env_var import environment_secret
    from freshkey._secret_input.file_descriptor import descriptor_is_there, descriptor_secret
    from freshkey._secret_input.handed_in import detected_descriptor, detected_variable, required_variable, secret_file
    from freshkey._secret_input.identity_token import identity_token, identity_token_file
    from freshkey._secret_input.shape import looks_like
    from freshkey._stores.options import store_options, wrong_option
    from freshkey._text.shell_words import install_command, shell_quoted
    from freshkey.clock import SYSTEM, Clock, Moment, utc_time
    from freshkey.hooks import CONTRACT, hookimpl
    from freshkey.model.credential import ApiKey, Credential, CredentialSource, OAuthToken
    from freshkey.model.description import Description, Inspection, Validity
    from freshkey.model.endpoints import host_flaw
    from freshkey.model.exchange import BoundSend, HostLimited, Network, Request, Response, Send
    from freshkey.model.identity import Identity
    from freshkey.model.interaction import Interaction, LoggingReporter, NonInteractive, Reporter, is_attended
    from freshkey.model.profile import Profile
    from freshkey.model.reason import Reason
    from freshkey.model.redirect import Listen, RedirectListener
    from freshkey.model.source import Detected, Source
    from freshkey.model.storage import CredentialStore, Intent, Record, Snapshot
    from freshkey.model.unused_settings import changed_settings, unused_settings
    from freshkey.model.verdict import ACCEPTED, PEEK_SIZE, REFUSED, Answer, Verdict
    from freshkey.secret import Secret, is_implausible, is_jwt, is_token, quoted, shown_name

_HOMES: Final = {
    "_commands.command": "Command ensure_unchanged run_command",
    "_commands.environ": "child_environment",
    "_commands.external_login": "run_login_command",
    "_commands.helper": "HELPER_TIMEOUT MAX_LINE helper_environment read_helper_json read_helper_line run_helper",
    "_commands.process": "checked_program",
    "_files.bounded": "NotRegularError TooLongError file_version read_bounded",
    "_files.packaged": "kept_for_all",
    "_files.path_text": "path_flaw shown_path shown_url",
    "_files.private": "file_name private_dir read_private remove_private write_private",
    "_files.project_place": "without_project_path",
    "_files.unchangeable": "ensure_unchangeable read_unchangeable",
    "_files.variable_paths": "variable_paths",
    "_http.messages": "form json_body retry_after",
    "_http.status": "raise_for_status",
    "_http.tls": "authorities_flaw tls_context tls_failure",
    "_http.url": "checked_url",
    "_interprocess.exit_hold": "ExitHold",
    "_interprocess.lock": "ProfileLock",
    "_json": "parse_json_object",
    "_secret_input.encoding": "unmarked",
    "_secret_input.env_var": "environment_secret",
    "_secret_input.file_descriptor": "descriptor_is_there descriptor_secret",
    "_secret_input.handed_in": "detected_descriptor detected_variable required_variable secret_file",
    "_secret_input.identity_token": "identity_token identity_token_file",
    "_secret_input.shape": "looks_like",
    "_stores.options": "store_options wrong_option",
    "_text.shell_words": "install_command shell_quoted",
    "clock": "Clock Moment SYSTEM utc_time",
    "hooks": "CONTRACT hookimpl",
    "model.credential": "ApiKey Credential CredentialSource OAuthToken",
    "model.description": "Description Inspection Validity",
    "model.endpoints": "host_flaw",
    "model.exchange": "BoundSend HostLimited Network Request Response Send",
    "model.identity": "Identity",
    "model.interaction": "Interaction LoggingReporter NonInteractive Reporter is_attended",
    "model.profile": "Profile",
    "model.reason": "Reason",
    "model.redirect": "Listen RedirectListener",
    "model.source": "Detected Source",
    "model.unused_settings": "changed_settings unused_settings",
    "model.verdict": "ACCEPTED PEEK_SIZE REFUSED Answer Verdict",
    "model.storage": "CredentialStore Intent Record Snapshot",
    "secret": "Secret is_implausible is_jwt is_token quoted shown_name",
}

# Several names per line: one per line would fill a page.
# fmt: off
__all__ = [
    "ACCEPTED", "CONTRACT", "HELPER_TIMEOUT", "MAX_LINE", "PEEK_SIZE", "REFUSED", "SYSTEM", "Answer", "ApiKey",
    "BoundSend", "Clock", "Command", "Credential", "CredentialSource", "CredentialStore", "Description", "Detected",
    "ExitHold", "HostLimited", "Identity", "Inspection", "Intent", "Interaction", "Listen", "LoggingReporter",
    "Moment", "Network", "NonInteractive", "NotRegularError", "OAuthToken", "Profile", "ProfileLock", "Reason",
    "Record", "RedirectListener", "Reporter", "Request", "Response", "Secret", "Send", "Snapshot", "Source",
    "TooLongError", "Validity", "Verdict",
    "authorities_flaw", "changed_settings", "checked_program", "checked_url", "child_environment",
    "descriptor_is_there", "descriptor_secret", "detected_descriptor", "detected_variable", "ensure_unchangeable",
    "ensure_unchanged", "environment_secret", "file_name", "file_version", "form", "helper_environment", "hookimpl",
    "host_flaw", "identity_token", "identity_token_file", "install_command", "is_attended", "is_implausible",
    "is_jwt", "is_token", "json_body", "kept_for_all", "looks_like", "parse_json_object", "path_flaw", "private_dir",
    "quoted", "raise_for_status", "read_bounded", "read_helper_json", "read_helper_line", "read_private",
    "read_unchangeable", "remove_private", "required_variable", "retry_after", "run_command", "run_helper",
    "run_login_command", "secret_file", "shell_quoted", "shown_name", "shown_path", "shown_url", "store_options",
    "tls_context", "tls_failure", "unmarked", "unused_settings", "utc_time", "variable_paths", "without_project_path",
    "write_private", "wrong_option",
]
# fmt: on


__getattr__, __dir__ = _lazy(__name__, _HOMES)
