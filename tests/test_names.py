"""Modules, classes and functions have names that are common in the field; their names from version 0.1 must not return.

A common word (``session``, ``command``, ``settings``) can name something else now, so modules are compared by their
full path. There are no exceptions so far; each would need an entry in `KEPT` with the reason.
"""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase

from source_tree import CORE, ROOT, Module, modules, plugin_modules


MODULES = {
    # The core: where their content is now.
    "freshkey.child": "freshkey._commands.process",
    "freshkey.cli*": "freshkey_cli",
    "freshkey.command": "freshkey._commands.command",
    "freshkey.config": "freshkey._config.configuration",
    "freshkey.config_shape": "freshkey._config.schema",
    "freshkey.consent": "freshkey._trust.source_consent",
    "freshkey.desk": "freshkey._renewal.context",
    "freshkey.document": "freshkey._config.toml_file",
    "freshkey.environment": "freshkey._commands.environ",
    "freshkey.faults": "freshkey._failpoints",
    "freshkey.flight": "freshkey._renewal.single_flight",
    "freshkey.helpers": "freshkey._commands.helper",
    "freshkey.holding": "freshkey._renewal.managed",
    "freshkey.hostguard": "freshkey._http.circuit_breaker",
    "freshkey.http": "freshkey._http.client",
    "freshkey.importing": "freshkey._accounts.import_key",
    "freshkey.inherited": "freshkey._secret_input.file_descriptor",
    "freshkey.lifecycle": "freshkey._plugins.hook_caller",
    "freshkey.login_command": "freshkey._commands.external_login",
    "freshkey.oauth.callback_request": "freshkey.oauth.redirect_request",
    "freshkey.oauth.refusal": "freshkey.oauth.error_response",
    "freshkey.overrides": "freshkey._config.overrides",
    "freshkey.ownership": "freshkey._files.permissions",
    "freshkey.person": "freshkey.model.interaction",
    "freshkey.plugins": "freshkey._plugins.discovery",
    "freshkey.project": "freshkey._config.project",
    "freshkey.retry": "freshkey._renewal.retry",
    "freshkey.rotation": "freshkey._renewal.rotation",
    "freshkey.saving": "freshkey._renewal.persist",
    "freshkey.schedule": "freshkey.expiry",
    "freshkey.selection": "freshkey._config.profile_selection",
    "freshkey.session": "freshkey._accounts",
    "freshkey.settings": "freshkey._config.provider_settings",
    "freshkey.sources": "freshkey._sources",
    "freshkey.spending": "freshkey._renewal.single_use",
    "freshkey.stores*": "freshkey._stores, freshkey._interprocess, freshkey._files",
    "freshkey.strictjson": "freshkey._json",
    "freshkey.testing*": "freshkey_testing",
    "freshkey.timer": "freshkey._renewal.scheduler",
    "freshkey.toml_lines": "freshkey._config.toml_file",
    "freshkey.trust": "freshkey._trust.project_commands",
    "freshkey.undivided": "freshkey._forksafe",
    "freshkey.wire": "freshkey._http.messages",
    # The command line: one module per command.
    "freshkey_cli.giving": "freshkey_cli.token, export, …",
    "freshkey_cli.keys": "freshkey_cli.key_input",
    "freshkey_cli.paste": "freshkey_cli.login",
    "freshkey_cli.replacing": "freshkey_cli.exec_process",
    "freshkey_cli.running": "freshkey_cli.exec",
    "freshkey_cli.showing": "freshkey_cli.status, whoami, …",
    "freshkey_cli.signing": "freshkey_cli.login, logout",
    "freshkey_cli.trusting": "freshkey_cli.trust",
    "freshkey_cli.views": "freshkey_cli.render",
    # Providers: the same name for the same thing in each, in the vendor's terms.
    "freshkey_bedrock.borrowed": "what it looks at",
    "freshkey_bedrock.bounded": "what it bounds",
    "freshkey_bedrock.bridge": "freshkey_bedrock.sdk",
    "freshkey_bedrock.keys": "freshkey_bedrock.api_key.parse",
    "freshkey_bedrock.minting": "freshkey_bedrock.api_key.mint",
    "freshkey_bedrock.process_form": "what it reads",
    "freshkey_bedrock.shapes": "what it checks",
    "freshkey_bedrock.short_term_key": "freshkey_bedrock.api_key.mint",
    "freshkey_bedrock.sightings": "what it looks at",
    "freshkey_bedrock.sso_*": "freshkey_bedrock.sso.…",
    "freshkey_bedrock.troubles": "freshkey_bedrock.errors",
    "freshkey_claude_oauth.anthropic_[!c]*": "freshkey_claude_oauth.anthropic_cli.…",
    "freshkey_claude_oauth.anthropic_credentials": "freshkey_claude_oauth.anthropic_cli.credentials",
    "freshkey_claude_oauth.handed": "freshkey_claude_oauth.env_token",
    "freshkey_vertex.bridge": "freshkey_vertex.sdk",
    "freshkey_vertex.failures": "freshkey_vertex.errors",
    "freshkey_vertex.fetching": "freshkey_vertex.fetch_token",
    "freshkey_vertex.files": "freshkey_vertex.credentials_file",
    "freshkey_vertex.given": "freshkey_vertex.env_token",
    "freshkey_vertex.hosts": "freshkey_vertex.transport",
    "freshkey_vertex.loading": "freshkey_vertex.google_auth",
    "freshkey_vertex.places": "freshkey_vertex.project",
}
"""Module paths that must not be used again, and where to look instead."""

PACKAGES_NOW = {"freshkey_bedrock.api_key": "freshkey_bedrock.api_key.source, parse, mint"}
"""Paths that are now packages and must not be single modules."""

CLASSES = {
    "Bell": "ChangeNotifier",
    "Desk": "ProfileContext",
    "Flight": "SharedFuture",
    "Health": "HostState",
    "Held": "CacheEntry",
    "Holding": "ManagedCredential",
    "HostGuard": "CircuitBreaker",
    "Household": "Owner",
    "Lifecycle": "HookCaller",
    "Nobody": "NonInteractive",
    "Presence": "DirectoryLock",
    "Quiet": "LoggingReporter",
    "ScriptedPerson": "ScriptedUser",
    "Sighting": "Detected",
    "Spending": "SingleUseRefresh",
    "Timer": "Scheduler",
    "Visit": "GuardedCall",
    "Witness": "IntentFile",
}
"""Class names that must not be used again, and what to use instead."""

FUNCTIONS = {
    "admit": "allow",
    "afford": "spend_retry_budget",
    "beat": "run_once",
    "crash": "set_error",
    "ends_at": "expires_at",
    "hear": "on_change",
    "land": "set_result",
    "launch": "run_in_thread",
    "launch_expendable": "run_in_thread(daemon=True)",
    "listens": "wants_changes",
    "look_at": "refresh_at",
    "open_desk": "build_context",
    "persistently": "call_with_retry",
    "ring": "notify",
}
"""Names, ignoring leading underscores, that functions and methods must not use again, and what to use instead."""

CONSTANTS = re.compile(r"_?(PATIENCE|(MOST|LONGEST|LARGEST|DEEPEST)(_[A-Z_]+)?|LOWEST|GLANCE|FAREWELL|ENOUGH)")
"""Limits are named MAX and MIN, waits are timeouts, and regular checks have a poll interval."""

KEPT: dict[str, str] = {}
"""Names from the tables above that are allowed, each with the reason."""

ALL_MODULES = [*modules(CORE), *plugin_modules()]


def defined(module: Module, *kinds: type[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]) -> list[str]:
    return [node.name for node in ast.walk(module.tree) if isinstance(node, kinds)]


def assigned(module: Module) -> list[str]:
    targets = [
        target
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_no_module_has_an_old_name() -> None:
    found = {
        module.name: now
        for module in ALL_MODULES
        for pattern, now in MODULES.items()
        if fnmatchcase(module.name, pattern) and module.name not in KEPT
    }
    found |= {
        module.name: PACKAGES_NOW[module.name]
        for module in ALL_MODULES
        if module.name in PACKAGES_NOW and module.path.name != "__init__.py"
    }
    assert found == {}


def test_no_class_has_an_old_name() -> None:
    found = [
        f"{module.path.relative_to(ROOT)}: {name}: {CLASSES[name.lstrip('_')]}"
        for module in ALL_MODULES
        for name in defined(module, ast.ClassDef)
        if name.lstrip("_") in CLASSES and name not in KEPT
    ]
    assert found == []


def test_no_function_has_an_old_name() -> None:
    found = [
        f"{module.path.relative_to(ROOT)}: {name}: {FUNCTIONS[name.lstrip('_')]}"
        for module in ALL_MODULES
        for name in defined(module, ast.FunctionDef, ast.AsyncFunctionDef)
        if name.lstrip("_") in FUNCTIONS and name not in KEPT
    ]
    assert found == []


def test_no_constant_has_an_old_name() -> None:
    found = [
        f"{module.path.relative_to(ROOT)}: {name}"
        for module in ALL_MODULES
        for name in assigned(module)
        if CONSTANTS.fullmatch(name) and name not in KEPT
    ]
    assert found == []


def test_no_file_has_the_marks_of_a_merge() -> None:
    texts = [path for each in ("*.md", "*.py", "*.toml", "*.txt") for path in ROOT.rglob(each)]
    ours = [path for path in texts if not {"node_modules", ".venv", ".windows", ".git"} & set(path.parts)]
    assert len(ours) > 500
    marks = re.compile(r"^(?:<{7} |>{7} |\|{7} )", re.MULTILINE)
    assert [path for path in ours if marks.search(path.read_text("utf-8"))] == []
