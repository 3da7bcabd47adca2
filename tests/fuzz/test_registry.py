"""No parser of outside input is forgotten: each module that calls one has a target, or a reason why it needs none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fuzzing.registry import TARGETS


ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {
    "core/freshkey": "",
    "plugins/bedrock/freshkey_bedrock": "bedrock.",
    "plugins/claude_oauth/freshkey_claude_oauth": "claude_oauth.",
    "plugins/cli/freshkey_cli": "cli.",
    "plugins/oidc/freshkey_oidc": "oidc.",
    "plugins/vertex/freshkey_vertex": "vertex.",
}
PARSES: Final = re.compile(
    r"json\.loads?\(|raw_decode\(|parse_json_object\(|parse_record\(|read_object\(|tomllib\.loads?\(|RawConfigParser\("
    r"|fromisoformat\(|strptime\(|parsedate\w*\(|b64decode\(|parse_qsl?\(|zlib\.|shlex\.split\(|StateFile\(|^\s*@frameless"
    r"|_file\.read\(|read_members\(",
    re.MULTILINE,
)
SECRETS_OUT: Final = "builds requests, and is frameless for the secrets that go out"
NOT_FUZZED: Final = {
    "oauth.assertion": SECRETS_OUT,
    "oauth.client": SECRETS_OUT,
    "oauth.protocol": SECRETS_OUT,
    "oauth.pushed": SECRETS_OUT,
    "_secret_input.handed_in": "frameless for the secrets in variables and files, which it does not take apart",
    "oidc.identity_token": "reads a response with parse_json_object and _secret_input.identity_token",
    "_accounts.import_key": "takes a key that the user enters, checked by _secret_input.shape",
    "_interprocess.account_index": "reads one member, checked by model.account; what fails is passed over",
    "_plugins.authorizing": "takes apart what a provider's own credential sends; what it cannot, counts as one part",
    "_commands.external_login": "its state file has a time; read as the files of keychain prompts are",
    "_stores.records.slots": "reads records with _stores.records.chunks and intent_file",
    "bedrock.api_key.mint": SECRETS_OUT,
    "bedrock.sso.messages": SECRETS_OUT,
    "bedrock.versions": "splits the user's own command line to see whether a file changed; errors are ignored",
    "claude_oauth.federation.exchange": SECRETS_OUT,
    "claude_oauth.anthropic_cli.renewal": "reads the intent file with claude_oauth.anthropic_cli.intent",
    "vertex.google_auth": SECRETS_OUT,
    "vertex.transport": "sees whether a body is an OAuth error, with _http.json_object",
    "vertex.inspection": "reads a response with parse_json_object and vertex.identity",
    "vertex.aws_providers": "reads output with parse_json_object and vertex.aws_ends, and leaves the rest to botocore",
}
"""Modules without a target of their own."""

OWN_JSON: Final = {
    "_json": "the strict parser",
    "secret": "sees whether a token has the form of a JWT, and returns whether; what fails is none",
    "_text.held": "looks for secrets in a secret that may be a document; what fails is none",
    "_http.json_object": "the liberal parser of token responses",
    "bedrock.refusal": "any JSON value in the beginning of a body; what fails is ignored",
    "vertex.file_flaws": "says why the strict parser refused a file",
}
OWN_TOML: Final = {
    "_config.toml_file": "checks the nesting before it parses",
    "cli.options": "a single value from the user's own command line",
}


def sources() -> Iterator[tuple[str, str]]:
    for folder, prefix in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            yield prefix + name, path.read_text(encoding="utf-8")


def calling(pattern: str) -> set[str]:
    return {name for name, text in sources() if re.search(pattern, text)}


def test_every_module_that_parses_has_a_target_or_a_reason() -> None:  # NET-10
    parsing = {name for name, text in sources() if PARSES.search(text)}
    fuzzed = {module for target in TARGETS for module in target.modules}
    assert parsing - fuzzed == set(NOT_FUZZED), "add a target, or a reason; or remove a reason that is not needed"


def test_every_target_names_modules_that_exist() -> None:
    known = {name for name, _ in sources()}
    assert {module for target in TARGETS for module in target.modules} <= known


def test_target_names_are_unique() -> None:
    names = [target.name for target in TARGETS]
    assert len(names) == len(set(names))


def test_json_is_parsed_only_where_nesting_and_quotations_are_dealt_with() -> None:  # NET-10
    assert calling(r"json\.loads?\(|JSONDecoder\(|raw_decode\(") == set(OWN_JSON)


def test_toml_is_parsed_only_where_its_nesting_is_limited() -> None:  # NET-10
    assert calling(r"tomllib\.loads?\(") == set(OWN_TOML)
